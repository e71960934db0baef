"""Squeeze of axes whose extents only the run knows."""

import numpy as np
import pytest

import quake_tvm
from tests.importers.onnx.models import constant, make, node


def test_a_symbolic_axis_must_have_one_element():
    model = make(
        [node("Squeeze", ["x", "axes"], ["y"])], {"x": ["n", "m", 3]}, {"y": None},
        [constant(np.array([1]), "axes")],
    )  # fmt: skip
    compiled = quake_tvm.compile(model)
    for n in (1, 4):
        x = np.arange(3 * n, dtype=np.float32).reshape(n, 1, 3)
        np.testing.assert_array_equal(compiled.run(x)[0], x[:, 0])
    with pytest.raises(quake_tvm.QuakeError, match="more than one element"):
        compiled.run(np.zeros((4, 2, 3), np.float32))
