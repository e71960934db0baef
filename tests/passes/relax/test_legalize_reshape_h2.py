"""Reshapes of several dynamic extents compile in seconds, and move what they should."""

import numpy as np

import quake_tvm
from tests.importers.onnx.cases import model_of
from tests.importers.onnx.cases.case import c, f


def test_blocks_of_dynamic_pictures():
    model, feeds = model_of([c("DepthToSpace", f(2, 8, 2, 3), blocksize=2)], 13)
    for axis in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"n{axis}"
    compiled = quake_tvm.compile(model, method="exact")
    for shape in [(2, 8, 2, 3), (3, 8, 1, 17), (1, 8, 0, 3)]:
        x = np.resize(feeds["c0_x0"], shape)
        n, _, h, w = shape
        y = x.reshape(n, 2, 2, 2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, 2, 2 * h, 2 * w)
        np.testing.assert_array_equal(compiled.run(x)[0], y)
