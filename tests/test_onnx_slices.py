"""Slices of axes of unknown length, and of hardly any."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import quake_tvm

FAR = 2**62
# Starts, ends and steps.
SLICES = [
    (1, -1, 1), (2, -3, 1), (1, -1, 2), (0, -1, 1), (1, 3, 1), (-3, FAR, 1), (5, 10, 1),
    (-5, -2, 1), (4, 1, -1), (-FAR, 3, 1), (-10, 4, -2), (4, -10, -2), (-7, 7, -2), (3, 1, 1),
    (9, -9, 3), (-4, 4, 1), (-2, 1, 1), (7, -3, -2), (-1, -FAR, -1), (-2, 3, -1), (FAR, 0, -1),
    (-2, -5, -1), (2, 2, 1), (-5, -2, -1), (-1, -2, -3), (2, 2, -1),
]  # fmt: skip


def _model(slices):
    nodes, constants = [], []
    for k, slice_ in enumerate(slices):
        for name, value in zip(("start", "end", "step"), slice_, strict=True):
            constants.append(numpy_helper.from_array(np.array([value]), f"{name}{k}"))
        operands = ["x", f"start{k}", f"end{k}", "axis", f"step{k}"]
        nodes.append(helper.make_node("Slice", operands, [f"y{k}"]))
    constants.append(numpy_helper.from_array(np.array([0]), "axis"))
    outputs = [node.output[0] for node in nodes]
    graph = helper.make_graph(
        nodes,
        "slices",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 2))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_slices_of_one_length():
    model = _model(SLICES)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for n in (1, 3, 9):
        x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
        got = quake_tvm.compile(model, shapes={"x": (n, 2)}).run({"x": x})
        for y, want in zip(got, session.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(y, want)


def test_slices_of_any_length():
    model = _model(SLICES)
    compiled = quake_tvm.compile(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for n in range(14):
        x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
        wanted = session.run(None, {"x": x})
        for got, want in zip(compiled.run({"x": x}), wanted, strict=True):
            np.testing.assert_array_equal(got, want)
