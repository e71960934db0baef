"""The program that compares kernels in half precision. No time is asserted."""

import onnx
import pytest

from quake_tvm.bench import halves


def test_the_kernels() -> None:
    assert {case.name for case in halves.chosen()} == set(halves.KERNELS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_models_are_valid_in_the_format(dtype: str) -> None:
    for case in halves.chosen():
        onnx.checker.check_model(halves.in_format(case.model, dtype), full_check=True)


def test_a_row_has_ratios_to_the_best_and_to_a_copy() -> None:
    case = halves.chosen()[0]
    times = {"copy": 0.1, "quake2": 0.4, "quake3": 0.5, "OpenVINO": 1.2, "PyTorch": 1.0}
    seconds = {name: 1e-9 * case.elements * value for name, value in times.items()}
    line = halves.line(case, "bfloat16", seconds)
    assert line.endswith("| 0.100 | 0.400 | 0.500 |  | 1.200 | 1.000 | 2.5 | 4.0 |")
    assert line.count("|") == halves.HEADER.count("|")
