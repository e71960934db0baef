"""Squeeze of axes whose extents only the run knows, and of an empty list of axes."""

import numpy as np
import onnx
import pytest

import quake_tvm
from tests.importers.onnx.models import compare, constant, make, node, ramp


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


def test_no_axes_for_symbolic_extents_are_refused():
    model = make([node("Squeeze", ["x"], ["y"])], {"x": [1, "n", 3]}, {"y": None})
    with pytest.raises(quake_tvm.QuakeError, match="the size of axis 1 decides"):
        quake_tvm.compile(model)
    x = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    y = quake_tvm.compile(model, shapes={"x": (1, 2, 3)}).run(x)[0]
    np.testing.assert_array_equal(y, x[0])


@pytest.mark.parametrize("opset", [11, 13])
def test_an_empty_list_of_axes_is_taken_where_it_means_one_thing(opset):
    def model(*shape):
        squeeze = node("Squeeze", ["x", "axes"][: 1 + (opset == 13)], ["y"])
        if opset == 11:
            squeeze.attribute.add(name="axes", type=onnx.AttributeProto.INTS)
        empty = constant(np.zeros(0, np.int64), "axes")
        return make([squeeze], {"x": shape}, {"y": None}, [empty], opset)

    compare(model(2, 3), ramp(2, 3))
    for shape in ((2, 1), ("n", 2)):
        with pytest.raises(quake_tvm.QuakeError, match="list the axes"):
            quake_tvm.compile(model(*shape))
