"""Slices of axes of unknown length, and of hardly any."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm

FAR = 2**62
# Starts, ends and steps.
SLICES = [
    (1, -1, 1), (2, -3, 1), (1, -1, 2), (0, -1, 1), (1, 3, 1), (-3, FAR, 1), (5, 10, 1),
    (-5, -2, 1), (4, 1, -1), (-FAR, 3, 1),
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


def test_slices_of_any_length():
    model = _model(SLICES)
    compiled = quake_tvm.compile(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for n in range(10):
        x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
        wanted = session.run(None, {"x": x})
        for got, want in zip(compiled.run({"x": x}), wanted, strict=True):
            np.testing.assert_array_equal(got, want)


def test_from_near_the_end_to_near_the_start_is_refused():
    with pytest.raises(quake_tvm.QuakeError, match="begins 2 before the end of an axis"):
        quake_tvm.compile(_model([(-2, 1, 1)]))
    quake_tvm.compile(_model([(-2, 1, 1)]), shapes={"x": (2, 2)})
