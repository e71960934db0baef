"""Layers in the layout of the paper's code, as ONNX: a norm, a projection, a look-up, a bias.

The projection is dense, or BH4: four times a product with a block-diagonal matrix and a Hadamard
transform. As in the paper's code the transform is a product by signs, without a factor. The
transform of 512 is that of the blocks, times one across the blocks. The first is multiplied into
the blocks' weights; the second is a product by a small matrix of signs.

Source: LookupFFN (arXiv 2403.07221), sections 3.2 and 3.3, and the parameters' names of its code.
Knows no TVM.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import QuakeError
from ..support import given
from .layer import STORED, LookupLayer
from .onnx_function import OPSET, declare, node

# The share of the transform in BH4; the rest is the input itself.
_SHARE = 0.7
_TIMES = 4
_NEEDED = (
    "LayerNorm.weight",
    "LayerNorm.bias",
    "tables",
    "bias",
    "hash.projection.weight",
    "hash.projection.bias",
)


def to_onnx(
    state: Mapping[str, Any], epsilon: float = 1e-5, form: str = "float32"
) -> onnx.ModelProto:
    """A layer as a model from x, float32 (rows, hidden size), to y, without the residual.

    Parameters
    ----------
    state : mapping of name to array or torch tensor
        A layer's ``state_dict``: ``LayerNorm.weight`` and ``.bias`` (hidden size,);
        ``hash.projection.weight``, (H bits, hidden size) or, for BH4, (repeats, 4, blocks, n, n);
        ``hash.projection.bias`` (H bits,); ``tables`` (H, 2**bits, output size); ``bias``.
    epsilon : float
        The norm's.
    form : {"float32", "bfloat16", "int8"}
        What the tables are stored in.

    Raises
    ------
    QuakeError
        If the arrays are no such layer.
    """
    given.choice(form, "form", STORED)
    arrays = _arrays(state)
    tables, weight = arrays["tables"], arrays["hash.projection.weight"]
    bits = tables.shape[1].bit_length() - 1 if tables.ndim == 3 else 0
    if not tables.size or not bits or 1 << bits != tables.shape[1]:
        raise QuakeError(f"tables is (H, a power of two, output size), not {tables.shape}")
    columns, hidden = tables.shape[0] * bits, arrays["LayerNorm.weight"].size
    if weight.ndim != 5:
        _check(arrays, "hash.projection.weight", (columns, hidden))
    _check(arrays, "hash.projection.bias", (columns,))
    _check(arrays, "LayerNorm.weight", (hidden,))
    _check(arrays, "LayerNorm.bias", (hidden,))
    _check(arrays, "bias", (tables.shape[2],))
    graph = _Graph()
    x = graph.op(
        "LayerNormalization", "x", arrays["LayerNorm.weight"], arrays["LayerNorm.bias"],
        epsilon=epsilon,
    )  # fmt: skip
    # Bit j of table t is at column t * bits + j there, and at j * H + t here.
    order = np.arange(columns).reshape(-1, bits).T.ravel()
    if weight.ndim == 2:
        z = graph.op("MatMul", x, np.ascontiguousarray(weight[order].T))
        z = graph.op("Add", z, arrays["hash.projection.bias"][order])
    else:
        z = _bh4(graph, x, weight, hidden, columns)
        z = graph.op("Add", z, arrays["hash.projection.bias"])
        z = graph.op("Gather", z, order, axis=1)
    layer = LookupLayer(
        np.empty((0, 0)), arrays["hash.projection.bias"], tables.reshape(-1, tables.shape[2]),
        arrays["bias"], bits,
    )  # fmt: skip
    operands = [z, *map(graph.constant, layer.stored(form)), graph.constant(arrays["bias"])]
    graph.nodes.append(node(operands, "y", bits))
    return graph.close(hidden, tables.shape[2])


def _arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a layer needs, float32."""
    if not isinstance(state, Mapping):
        raise QuakeError(f"the state is a mapping of names to arrays, not {type(state).__name__}")
    if missing := [name for name in _NEEDED if name not in state]:
        raise QuakeError(f"the layer has no {missing[0]}")
    found = {}
    for name in _NEEDED:
        value = state[name]
        try:  # numpy takes no parameters of torch, and none of its bfloat16
            value = value.detach().cpu().float() if hasattr(value, "detach") else value
            found[name] = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise QuakeError(f"{name} is no array of numbers") from None
    return found


def _check(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> None:
    if arrays[name].shape != shape:
        raise QuakeError(f"{name} has the shape {arrays[name].shape}; {shape} is needed")


def _bh4(graph: "_Graph", x: str, weight: np.ndarray, hidden: int, columns: int) -> str:
    repeats, times, blocks, _, size = weight.shape
    padded = blocks * size
    if times != _TIMES or padded < hidden or repeats * padded < columns or weight.shape[3] != size:
        raise QuakeError(
            f"BH4's weight is (repeats, 4, blocks, n, n), with blocks * n at least {hidden} and "
            f"repeats * blocks * n at least {columns}, not {weight.shape}"
        )
    if padded > hidden:
        x = graph.op("Pad", x, np.array([0, 0, 0, padded - hidden]))
    # y_o = sum over i of w[o, i] x_i, then the transform of the block.
    folded = np.einsum("rjnoi,op->rjnip", weight, _signs(size)).astype(np.float32)
    made = []
    for repeat in range(repeats):
        value = x
        for j in range(times):
            rows = graph.op("Reshape", value, np.array([-1, blocks, 1, size]))
            rows = graph.op("MatMul", rows, folded[repeat, j])
            value = graph.op("Reshape", rows, np.array([-1, padded]))
            value = _across(graph, value, blocks, size)
        scaled = graph.op("Mul", value, np.float32(_SHARE))
        made.append(graph.op("Add", scaled, graph.op("Mul", x, np.float32(1 - _SHARE))))
    whole = made[0] if repeats == 1 else graph.op("Concat", *made, axis=1)
    if repeats * padded > columns:
        ends = (np.array([n]) for n in (0, columns, 1))
        whole = graph.op("Slice", whole, *ends)
    return whole


def _across(graph: "_Graph", x: str, blocks: int, size: int) -> str:
    """The Hadamard transform across blocks: a small product for each row."""
    signs = _signs(blocks).astype(np.float32)
    rows = graph.op("Reshape", x, np.array([-1, blocks, size]))
    return graph.op("Reshape", graph.op("MatMul", signs, rows), np.array([-1, blocks * size]))


def _signs(size: int) -> np.ndarray:
    """The Hadamard matrix of a power of two: 1 and -1."""
    if size < 1 or size & (size - 1):
        raise QuakeError(f"BH4 has a power of two of blocks, a power of two wide, not {size}")
    made = np.ones((1, 1))
    while len(made) < size:
        made = np.block([[made, made], [made, -made]])
    return made


class _Graph:
    """Nodes in the order of their creation, and their constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray | np.generic) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, *inputs: str | np.ndarray | np.generic, **attributes: Any) -> str:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], name, **attributes))
        return name

    def close(self, hidden: int, width: int) -> onnx.ModelProto:
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "LookupFFN",
            [helper.make_tensor_value_info("x", kind, ["rows", hidden])],
            [helper.make_tensor_value_info("y", kind, ["rows", width])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        declare(model)
        return model
