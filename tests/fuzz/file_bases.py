"""Small valid files to mutate: models of ONNX, arrays, a plan, records."""

import io
from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quake_tvm.schedules.records.book import SHIPPED
from tests.onnx_models import node

RNG = np.random.default_rng(0)
PLAN = """version = 1
inside_kernels = "quake4"
metric = "relative"
budget = 0.001
predicted = 0.0004
measured = 0.0005
inputs = 8
target = "native"
threads = 1
predicted_milliseconds = 0.5
measured_milliseconds = 0.6

[[site]]
number = 1
operator = "gelu"
shape = "2x16"
method = "quake3"

[[uniform]]
method = "exact"
error = 0.0
milliseconds = 0.9
"""


def _model(nodes, inputs, outputs, constants, opset=17) -> onnx.ModelProto:
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in v.items()]
        for v in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "base", *values, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def _mlp() -> onnx.ModelProto:
    nodes = [
        node("MatMul", "x w", "a"),
        node("Add", "a b", "s"),
        node("Gelu", "s", "g"),
        node("Softmax", "g", "y", axis=-1),
    ]
    constants = {"w": _normal(8, 16), "b": _normal(16)}
    return _model(nodes, {"x": [2, 8]}, {"y": [2, 16]}, constants, opset=20)


def _convolution() -> onnx.ModelProto:
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        node("Conv", "x w b", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "a s b m v", "n"),
        node("Sigmoid", "n", "g"),
        node("Mul", "n g", "silu"),
        node("MaxPool", "silu", "p", **window),
        node("GlobalAveragePool", "p", "mean"),
        node("Flatten", "mean", "flat"),
        node("Gemm", "flat fw", "y", transB=1),
    ]
    constants = {"w": _normal(4, 3, 3, 3), "fw": _normal(5, 4), "v": np.ones(4, np.float32)}
    constants |= {name: _normal(4) for name in "bsm"}
    return _model(nodes, {"x": [1, 3, 16, 16]}, {"y": [1, 5]}, constants)


def _dynamic() -> onnx.ModelProto:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "rows", axis=0),
        node("Unsqueeze", "rows axes", "r"),
        node("Concat", "r rest", "shape", axis=0),
        node("Reshape", "x shape", "flat"),
        node("MatMul", "flat w", "m"),
        node("Tanh", "m", "t"),
        node("ReduceMean", "t", "mean", axes=[-1], keepdims=1),
        node("Sub", "t mean", "y"),
    ]
    constants = {"zero": 0, "axes": [0], "rest": [12]}
    constants = {k: np.array(v, np.int64) for k, v in constants.items()} | {"w": _normal(12, 7)}
    return _model(nodes, {"x": ["batch", 3, 4]}, {"y": ["batch", 7]}, constants)


def _movement() -> onnx.ModelProto:
    nodes = [
        node("Slice", "x starts ends axes", "s"),
        node("Pad", "s pads", "p", mode="constant"),
        helper.make_node("Split", ["p", "parts"], ["p0", "p1"], axis=1),
        node("Concat", "p1 p0", "c", axis=1),
        node("Gather", "c rows", "g", axis=0),
        helper.make_node("Resize", ["g", "", "scales"], ["r"], mode="nearest"),
        node("Softplus", "r", "y"),
    ]
    constants = {
        "starts": [1, 1], "ends": [5, 7], "axes": [0, 1], "parts": [3, 5], "rows": [0, 2, 1],
        "pads": [0, 1, 0, 0, 0, 2, 0, 0],
    }  # fmt: skip
    constants = {k: np.array(v, np.int64) for k, v in constants.items()}
    constants["scales"] = np.float32([1, 1, 2, 2])
    return _model(nodes, {"x": [4, 6, 5, 5]}, {"y": [3, 8, 10, 10]}, constants)


def _branches() -> onnx.ModelProto:
    def branch(operator: str, name: str) -> onnx.GraphProto:
        y = helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 4])
        return helper.make_graph([node(operator, "x", name)], name, [], [y])

    nodes = [
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum zero", "positive"),
        helper.make_node(
            "If",
            ["positive"],
            ["z"],
            then_branch=branch("Sigmoid", "one"),
            else_branch=branch("Tanh", "other"),
        ),
        node("Exp", "z", "y"),
    ]
    return _model(nodes, {"x": [3, 4]}, {"y": [3, 4]}, {"zero": np.float32(0)})


@cache
def models() -> dict[str, onnx.ModelProto]:
    """The models by name. Callers must not change them."""
    makers = (_mlp, _convolution, _dynamic, _movement, _branches)
    return {make.__name__.removeprefix("_"): make() for make in makers}


@cache
def others() -> dict[str, bytes]:
    """Other files by their suffix."""
    x = _normal(2, 8)
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, x)
    np.savez(npz, x=x)
    records = next(SHIPPED.glob("*/softmax.jsonl"))
    lines = b"".join(records.read_bytes().splitlines(keepends=True)[:3])
    return {"npy": npy.getvalue(), "npz": npz.getvalue(), "toml": PLAN.encode(), "jsonl": lines}
