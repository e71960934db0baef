"""The program that compares direct sums with Winograd's algorithm. No time is asserted."""

import onnx
import pytest
from onnx import numpy_helper

from quake_tvm import compile
from quake_tvm.bench import winograd
from quake_tvm.machines.targets import target
from quake_tvm.numerics.number_formats import FORMATS
from quake_tvm.numerics.winograd import bound


@pytest.mark.parametrize("shape", winograd.SHAPES)
def test_models_are_valid(shape):
    onnx.checker.check_model(winograd.model(*shape), full_check=True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_has_times_ratios_and_errors(precision):
    on = target("native")
    line = winograd.row(5, 16, 20, on, rounds=1, precision=precision)
    assert line.count("|") == winograd.HEADER.count("|")
    given = winograd.model(5, 16, 20)
    weights = numpy_helper.to_array(given.graph.initializer[0]).transpose(0, 2, 3, 1)
    x = winograd.image(given)
    (y,) = compile(given, on).run(x)
    # The weights are rounded a first time before they are transformed.
    rounding = 2 * FORMATS[precision].rounding if precision == "bfloat16" else 0.0
    most = bound(abs(x).max(), weights, rounding).max() / abs(y).max()
    *_, own = (cell.strip() for cell in line.strip("|").split("|"))
    assert 0 < float(own) <= most
