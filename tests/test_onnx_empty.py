"""Tensors without elements through a model."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from tests.onnx_models import node

CONSTANTS = {
    "four": [4], "one": [1], "far": [-(2**62)], "parts": [0, 3, 0, 2], "none": [5, 0],
    "axis": [0],
}  # fmt: skip
NODES = [
    node("Slice", "x four one axis", "backwards"),
    node("Slice", "x four far axis", "before"),
    node("Relu", "backwards", "still"),
    node("ReduceSum", "before axis", "sums", keepdims=0),
    node("Concat", "still x", "joined", axis=0),
    helper.make_node("Split", ["x", "parts"], ["a", "b", "c", "d"], axis=0),
    helper.make_node("Split", ["x", "none"], ["e", "f"], axis=0),
    node("Add", "b b", "twice"),
    node("Tanh", "d", "bent"),
]
OUTPUTS = ["backwards", "still", "sums", "joined", "a", "c", "twice", "bent", "e", "f"]


def test_what_has_no_elements_is_a_constant():
    constants = {name: np.array(value, np.int64) for name, value in CONSTANTS.items()}
    graph = helper.make_graph(
        NODES,
        "empty",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (5, 3))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    feeds = {"x": np.arange(15, dtype=np.float32).reshape(5, 3)}
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for got, want in zip(quake_tvm.compile(model).run(feeds), wanted, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(got, want, rtol=1e-6)
