"""The Llama of ``llama.py`` as an ONNX decoder with past keys and values, as optimum writes them.

Inputs are ``input_ids``, ``attention_mask`` of all tokens so far, ``position_ids``, and
``past_key_values.N.key`` and ``.value``; outputs are ``logits`` and ``present.N.key`` and
``.value``. Batch, length and past are dynamic.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from llama import Llama

LOWEST = float(np.finfo(np.float32).min)


class _Graph:
    """Nodes of the standard, one at a time."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, operator: str, *inputs: str, name: str = "", **attributes: object) -> str:
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: NDArray, name: str = "") -> str:
        name = name or f"constant_{len(self.constants)}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def whole(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64), f"whole_{'_'.join(map(str, numbers))}")

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def extent(self, x: str, axis: int) -> str:
        return self("Shape", x, start=axis, end=axis + 1)

    def linear(self, x: str, weight: NDArray, name: str) -> str:
        return self("MatMul", x, self.constant(np.ascontiguousarray(weight.T), name))

    def normal(self, x: str, gamma: NDArray, epsilon: float) -> str:
        squares = self("ReduceMean", self("Pow", x, self.number(2)), self.whole(-1))
        root = self("Sqrt", self("Add", squares, self.number(epsilon)))
        return self("Mul", self.constant(gamma), self("Mul", x, self("Reciprocal", root)))


def decoder(model: Llama) -> onnx.ModelProto:
    """The decoder's file. Logits are those of the last token."""
    g, sizes = _Graph(), model.sizes
    depth = sizes.width // sizes.heads
    weights = {name: tensor.numpy() for name, tensor in model.named_buffers()}

    def halves(weight: NDArray, heads: int) -> NDArray:
        """The features of each head in the order of ``_turned``: all even ones, all odd ones."""
        pairs = weight.reshape(heads, depth // 2, 2, sizes.width)
        return pairs.transpose(0, 2, 1, 3).reshape(heads * depth, sizes.width)

    table = g.constant(weights["token_embd_weight"], "embed")
    x = g("Gather", table, "input_ids")
    mask = _mask(g)
    angles = _angles(g, sizes.base, depth)
    cache = []
    for n in range(sizes.layers):
        w = {name: weights.get(f"blk_{n}_{name}_weight") for name in _NAMES}
        normal = g.normal(x, w["attn_norm"], sizes.epsilon)
        heads = {"q": sizes.heads, "k": sizes.pairs, "v": sizes.pairs}
        parts = {}
        for part, count in heads.items():
            weight = w[f"attn_{part}"]
            weight = weight if part == "v" else halves(weight, count)
            y = g.linear(normal, weight, f"{part}_{n}")
            y = g("Reshape", y, g.whole(0, 0, count, depth))
            y = g("Transpose", y, perm=[0, 2, 1, 3])
            parts[part] = y if part == "v" else _turned(g, y, angles, depth)
        for part, kind in (("k", "key"), ("v", "value")):
            past = f"past_key_values.{n}.{kind}"
            name = f"present.{n}.{kind}"
            parts[part] = g("Concat", past, parts[part], axis=2, name=name)
            cache.append((past, name))
            parts[part] = _repeated(g, name, sizes.pairs, sizes.heads // sizes.pairs, depth)
        keys = g("Transpose", parts["k"], perm=[0, 1, 3, 2])
        scores = g("Div", g("MatMul", parts["q"], keys), g.number(depth**0.5))
        scores = g("Softmax", g("Add", scores, mask), axis=-1)
        mixed = g("Transpose", g("MatMul", scores, parts["v"]), perm=[0, 2, 1, 3])
        mixed = g("Reshape", mixed, g.whole(0, 0, sizes.width))
        x = g("Add", x, g.linear(mixed, w["attn_output"], f"o_{n}"))
        normal = g.normal(x, w["ffn_norm"], sizes.epsilon)
        gate = g.linear(normal, w["ffn_gate"], f"gate_{n}")
        gate = g("Mul", gate, g("Sigmoid", gate))
        inner = g("Mul", gate, g.linear(normal, w["ffn_up"], f"up_{n}"))
        x = g("Add", x, g.linear(inner, w["ffn_down"], f"down_{n}"))
    x = g("Slice", x, g.whole(-1), g.whole(2**62), g.whole(1))
    x = g.normal(x, weights["output_norm_weight"], sizes.epsilon)
    g.nodes.append(helper.make_node("MatMul", [x, g("Transpose", table, perm=[1, 0])], ["logits"]))
    return _file(g, cache, sizes.pairs, depth, sizes.vocabulary)


_NAMES = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)


def _mask(g: _Graph) -> str:
    """(batch, 1, length, all tokens): 0 for the visible ones, the lowest number for others."""
    new, every = g.extent("input_ids", 1), g.extent("attention_mask", 1)
    none, one = (g.constant(np.array(n, np.int64)) for n in (0, 1))
    ends = [g("Squeeze", n, g.whole(0)) for n in (new, every)]
    columns = g("Range", none, ends[1], one)
    rows = g("Range", g("Sub", ends[1], ends[0]), ends[1], one)
    seen = g("LessOrEqual", columns, g("Unsqueeze", rows, g.whole(1)))
    seen = g("Unsqueeze", seen, g.whole(0, 1))
    given = g("Unsqueeze", g("Cast", "attention_mask", to=TensorProto.BOOL), g.whole(1, 2))
    return g("Where", g("And", seen, given), g.number(0), g.number(LOWEST))


def _angles(g: _Graph, base: float, depth: int) -> tuple[str, str]:
    rates = (base ** (-np.arange(0, depth, 2) / depth)).astype(np.float32)
    places = g("Unsqueeze", g("Cast", "position_ids", to=TensorProto.FLOAT), g.whole(2))
    turns = g("Mul", places, g.constant(rates))
    both = g("Unsqueeze", g("Concat", turns, turns, axis=-1), g.whole(1))
    return g("Cos", both), g("Sin", both)


def _turned(g: _Graph, x: str, angles: tuple[str, str], depth: int) -> str:
    middle, last = g.whole(depth // 2), g.whole(3)
    first = g("Slice", x, g.whole(0), middle, last)
    second = g("Slice", x, middle, g.whole(2**62), last)
    half = g("Concat", g("Neg", second), first, axis=-1)
    return g("Add", g("Mul", x, angles[0]), g("Mul", half, angles[1]))


def _repeated(g: _Graph, x: str, heads: int, group: int, depth: int) -> str:
    batch, length = g.extent(x, 0), g.extent(x, 2)
    parts = (batch, g.whole(heads), g.whole(group), length, g.whole(depth))
    spread = g("Expand", g("Unsqueeze", x, g.whole(2)), g("Concat", *parts, axis=0))
    whole = g("Concat", batch, g.whole(heads * group), length, g.whole(depth), axis=0)
    return g("Reshape", spread, whole)


def _file(
    g: _Graph, cache: Sequence[tuple[str, str]], heads: int, depth: int, vocabulary: int
) -> onnx.ModelProto:
    whole, real = TensorProto.INT64, TensorProto.FLOAT
    past, every = "past_sequence_length", "past_sequence_length+sequence_length"
    inputs = [
        helper.make_tensor_value_info("input_ids", whole, ["batch_size", "sequence_length"]),
        helper.make_tensor_value_info("attention_mask", whole, ["batch_size", every]),
        helper.make_tensor_value_info("position_ids", whole, ["batch_size", "sequence_length"]),
    ]
    outputs = [helper.make_tensor_value_info("logits", real, ["batch_size", 1, vocabulary])]
    for given, made in cache:
        shapes = [["batch_size", heads, n, depth] for n in (past, every)]
        inputs.append(helper.make_tensor_value_info(given, real, shapes[0]))
        outputs.append(helper.make_tensor_value_info(made, real, shapes[1]))
    graph = helper.make_graph(g.nodes, "decoder", inputs, outputs, [*g.constants.values()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def step(tokens: NDArray, past: Sequence[NDArray], first: NDArray | None = None) -> list[NDArray]:
    """The inputs of one call: the new tokens behind the past ones.

    Parameters
    ----------
    tokens : int64 array (batch, length)
    past : sequence of float32 arrays (batch, heads of keys, past, features of a head)
        The outputs behind the logits of the call before; those of :func:`nothing` at first.
    first : int64 array (batch,), optional
        How many tokens in front are padding.

    Returns
    -------
    list of arrays
        In the order of the decoder's inputs.
    """
    return [*first_inputs(tokens, past[0].shape[2], first), *past]


def first_inputs(tokens: NDArray, before: int, first: NDArray | None = None) -> list[NDArray]:
    """The inputs in front of the cache, behind ``before`` tokens. Others as for :func:`step`."""
    batch, length = tokens.shape
    skipped = np.zeros(batch, np.int64) if first is None else first
    places = np.arange(before + length)[None] - skipped[:, None]
    return [tokens, (places >= 0).astype(np.int64), np.maximum(places[:, before:], 0)]


def nothing(model: Llama, batch: int = 1) -> list[NDArray]:
    """The past of a first call."""
    sizes = model.sizes
    shape = (batch, sizes.pairs, 0, sizes.width // sizes.heads)
    return [np.zeros(shape, np.float32) for _ in range(2 * sizes.layers)]
