"""Small ONNX models in the forms that exporters write, for the tests of both TVMs."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]


def node(operator: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    """A node. Spaces separate the names of several inputs."""
    return helper.make_node(operator, inputs.split(" "), [output], **attributes)


def model(
    nodes: list[onnx.NodeProto],
    shapes: dict[str, Shape],
    weights: dict[str, np.ndarray] | None = None,
    output: str = "y",
    opset: int = 17,
) -> onnx.ModelProto:
    """A model with float32 inputs of these shapes."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        inputs,
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def random(*shape: int) -> np.ndarray:
    """Random weights."""
    values = np.random.default_rng(sum(shape)).normal(0, 0.3, shape)
    return values.astype(np.float32)


def scalar(value: float) -> np.ndarray:
    """A constant."""
    return np.array(value, np.float32)


def attention() -> onnx.ModelProto:
    """Attention with scale and mask over a batch of two."""
    nodes = [
        node("MatMul", "x wq", "q"),
        node("MatMul", "x wk", "k"),
        node("MatMul", "x wv", "v"),
        node("Transpose", "k", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "scores"),
        node("Div", "scores root", "scaled"),
        node("Add", "scaled mask", "masked"),
        node("Softmax", "masked", "p", axis=-1),
        node("MatMul", "p v", "attended"),
        node("Tanh", "attended", "y"),
    ]
    weights = {name: random(16, 16) for name in ("wq", "wk", "wv")} | {"root": scalar(4)}
    return model(nodes, {"x": (2, 12, 16), "mask": (2, 1, 12)}, weights)


def gelu_layers() -> onnx.ModelProto:
    """Two layers with GELU in five nodes between them, and a log_softmax at the end."""
    nodes = [
        node("MatMul", "x w1", "product"),
        node("Add", "product b1", "h"),
        node("Div", "h root2", "scaled"),
        node("Erf", "scaled", "error"),
        node("Add", "error one", "cdf"),
        node("Mul", "h cdf", "twice"),
        node("Mul", "twice half", "gelu"),
        node("MatMul", "gelu w2", "logits"),
        node("LogSoftmax", "logits", "y", axis=-1),
    ]
    weights = {
        "w1": random(16, 32), "b1": random(32), "w2": random(32, 10),
        "root2": scalar(2**0.5), "one": scalar(1), "half": scalar(0.5),
    }  # fmt: skip
    return model(nodes, {"x": (3, 16)}, weights)


def convolutions() -> onnx.ModelProto:
    """Convolutions followed by different nonlinearities, a pooling and a softmax."""
    nodes = [
        node("Conv", "x w0", "c0", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Sigmoid", "c0", "gate"),
        node("Mul", "c0 gate", "silu"),
        node("Conv", "silu w1", "c1", kernel_shape=[1, 1]),
        node("Elu", "c1", "elu", alpha=0.5),
        node("Conv", "elu w2", "c2", kernel_shape=[1, 1]),
        node("Softplus", "c2", "softplus"),
        node("Conv", "softplus w3", "c3", kernel_shape=[1, 1]),
        node("Softplus", "c3", "soft"),
        node("Tanh", "soft", "bent"),
        node("Mul", "c3 bent", "mish"),
        node("GlobalAveragePool", "mish", "pooled"),
        node("Flatten", "pooled", "flat"),
        node("Softmax", "flat", "y", axis=-1),
    ]
    weights = {"w0": random(8, 3, 3, 3)} | {f"w{k}": random(8, 8, 1, 1) for k in (1, 2, 3)}
    return model(nodes, {"x": (1, 3, 10, 10)}, weights)


MODELS = {"attention": attention, "gelu_layers": gelu_layers, "convolutions": convolutions}
