"""ONNX's Tile of any size, by constant numbers and by numbers that vary, copies rows."""

import numpy as np
import pytest
from onnx import parser

import quake_tvm

HEADER = '<ir_version: 10, opset_import: ["": 21]> tile '
CONSTANT = "(float[t, f] x) => (y) <int64[2] times = {2, 3}> { y = Tile(x, times) }"
VARYING = "(float[t, f] x, float[a, b] k) => (y) { times = Shape(k) y = Tile(x, times) }"
SHAPES = [(1, 1), (5, 4), (3, 17), (0, 3), (2, 0), (1, 33)]


@pytest.mark.parametrize("graph", [CONSTANT, VARYING], ids=["constant", "varying"])
def test_values(graph):
    model = quake_tvm.compile(parser.parse_model(HEADER + graph))
    assert "broadcast_to" in model.report.kernels
    for shape in SHAPES:
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        more = [np.zeros((2, 3), np.float32)] if graph == VARYING else []
        np.testing.assert_array_equal(model.run([x, *more])[0], np.tile(x, (2, 3)))
