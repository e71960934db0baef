"""Hardmax along axes of any length."""

import numpy as np
import onnx
from onnx import TensorProto, helper

import quake_tvm

AXES = (0, 1, -1)
SIZES = [(2, 3, 4), (1, 1, 1), (5, 1, 7)]


def model():
    """A Hardmax along each axis of a tensor of unknown sizes."""
    names = [f"y{k}" for k in range(len(AXES))]
    nodes = [
        helper.make_node("Hardmax", ["x"], [name], axis=axis)
        for name, axis in zip(names, AXES, strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        "hardmax",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("a", "b", "c"))],
        [onnx.ValueInfoProto(name=name) for name in names],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def hardmax(x, axis):
    y = np.zeros_like(x)
    np.put_along_axis(y, x.argmax(axis, keepdims=True), 1, axis)
    return y


def test_rows_of_any_length():
    """The first of equal maxima is 1."""
    compiled = quake_tvm.compile(model())
    for sizes in SIZES:
        x = np.random.default_rng(0).integers(0, 3, sizes).astype(np.float32)
        for y, axis in zip(compiled.run(x), AXES, strict=True):
            np.testing.assert_array_equal(y, hardmax(x, axis), strict=True)
