"""The program that compares direct sums with Winograd's algorithm. No time is asserted."""

import onnx
import pytest

from quake_tvm.bench import winograd
from quake_tvm.machines.targets import target


@pytest.mark.parametrize("shape", winograd.SHAPES)
def test_models_are_valid(shape):
    onnx.checker.check_model(winograd.model(*shape), full_check=True)


def test_a_row_has_times_ratios_and_errors():
    line = winograd.row(5, 16, 20, target("native"), rounds=1)
    assert line.count("|") == winograd.HEADER.count("|")
    *_, direct, own = (cell.strip() for cell in line.strip("|").split("|"))
    assert max(float(direct), float(own)) < 1e-5
