"""The program that compares kernels of symbolic size with static ones. No time is asserted."""

import numpy as np
import pytest

from quake_tvm.bench import sizes
from quake_tvm.bench.sized_kernels import GROUPS, MOST, Kernel, kernel
from quake_tvm.importers.onnx import file as onnx_file

PAGE = "# Title\n\n<!-- sizes: written -->\n<!-- end of sizes -->\n"
KERNELS = {name: text for texts in GROUPS.values() for name, text in texts.items()}


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_symbolic_sizes_within_limits(name):
    made = kernel(name, KERNELS[name])
    assert made.letters
    for each in made.sizes(5):
        assert all(1 <= each[letter] <= MOST[letter] for letter in made.letters)
    assert made.sizes(5) == made.sizes(5)
    shapes = made.shapes(dict.fromkeys(made.letters, 3))
    model = onnx_file.with_shapes(made.model, shapes)
    assert not any(map(onnx_file.is_dynamic, onnx_file.inputs(model)))


def test_inputs_of_known_shape_are_constants():
    made = kernel("sum", "(float[n, 3] x, float[3] k) => (y) { y = Add(x, k) }")
    assert [value.name for value in onnx_file.inputs(made.model)] == ["x"]
    assert made.letters == ["n"]


def test_rows_have_ratio_and_bits(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    sizes.main(["GELU", "--sizes", "2", "--rounds", "1", "--page", str(page)])
    assert "| GELU |" in page.read_text()
    assert "| 2 of 2 |" in page.read_text()


def test_line_counts_sizes_beyond_and_bits():
    rows = [
        sizes.Row({"t": 3}, 3e-6, 2e-6, True),
        sizes.Row({"t": 9}, 4e-6, 4e-6, False),
        sizes.Row({"t": 1}, 3e-7, 1e-7, True),
    ]
    assert sizes.line("a", rows) == "| a | 1.25 | 1.50 at t=3 (2 µs) | 1 of 2 | 200 | 2 of 3 |"
    assert sizes.line("b", rows[2:]) == "| b |  |  | 0 of 0 | 200 | 1 of 1 |"
    assert np.isclose(rows[0].ratio, 1.5)
    assert isinstance(kernel("GELU", KERNELS["GELU"]), Kernel)
