"""Find feed-forward layers in an ONNX graph: products by constants, around element-wise operators.

A layer is a product by constant float32 weights whose rows are wider than those before and behind
it: one product, or two whose results are multiplied (a gated layer; also one product that is
split), then element-wise operators, then one product. Nothing else may read what is inside. Knows
no TVM.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from ..importers.onnx.nodes import read_by

_PRODUCTS = {"MatMul", "Gemm", "FusedMatMul", "FusedGemm"}
_ELEMENTWISE = {
    "Add",
    "BiasGelu",
    "Cast",
    "Clip",
    "Div",
    "Elu",
    "Erf",
    "FastGelu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Mul",
    "Pow",
    "QuickGelu",
    "Relu",
    "Sigmoid",
    "Softplus",
    "Sqrt",
    "Sub",
    "Swish",
    "Tanh",
}
_NORMS = {"LayerNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization"}


@dataclass(frozen=True)
class Block:
    """A feed-forward layer.

    Attributes
    ----------
    number : int
        Its place among the graph's layers, from 0.
    x, y : str
        The tensors before it and behind it.
    residual : str or None
        The tensor that is added to y, if there is one.
    nodes : tuple of NodeProto
        All of its nodes.
    widths : tuple of int
        The elements of a row of x, inside, and of y.
    weights : int
        The elements of all of its constants.
    """

    number: int
    x: str
    y: str
    residual: str | None
    nodes: tuple[onnx.NodeProto, ...]
    widths: tuple[int, int, int]
    weights: int


def find(model: onnx.ModelProto) -> list[Block]:
    """The feed-forward layers of a model's main graph, in its order."""
    graph = _Graph(model.graph)
    found: list[Block] = []
    for node in model.graph.node:
        block = graph.ending_with(node, len(found))
        if block is not None:
            found.append(block)
    return found


class _Graph:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.makers = {name: node for node in graph.node for name in node.output}
        constants = {c.name: c for c in graph.initializer}
        self.outputs = {o.name for o in graph.output}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                constants[node.output[0]] = node.attribute[0].t
        self.sizes = {name: tuple(c.dims) for name, c in constants.items()}
        self.types = {name: c.data_type for name, c in constants.items()}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in read_by(node):
                self.readers.setdefault(name, []).append(node)

    def ending_with(self, last: onnx.NodeProto, number: int) -> Block | None:
        """The layer whose second product is this node."""
        narrow = self._weights(last)
        if narrow is None:
            return None
        inner, outer = narrow
        inside: list[onnx.NodeProto] = []
        sources: set[str] = set()
        widths = set()
        todo = [(last.input[0], inner)]
        while todo:
            name, width = todo.pop()
            if name in self.sizes:
                continue
            node = self.makers.get(name)
            if node is None:
                return None
            if any(each is node for each in inside):
                continue
            wide = self._weights(node)
            if wide is not None and wide[1] == width:
                sources.add(node.input[0])
                widths.add(wide[0])
                more = [n for n in node.input[2:] if n]
            elif node.op_type in _ELEMENTWISE and len(inside) < 32:
                more = list(node.input)
            elif node.op_type == "Split":
                more, width = [node.input[0]], width * len(node.output)
            else:
                return None
            inside.append(node)
            todo += [(each, width) for each in more]
        if len(sources) != 1 or len(widths) != 1 or inner <= max(*widths, outer):
            return None
        nodes = [*inside, last]
        y, end = self._with_bias(last, outer)
        nodes += end
        if not self._closed(nodes, y):
            return None
        (x,), (first,) = sources, widths
        ordered = tuple(n for n in self.nodes if any(n is each for each in nodes))
        widths_of = first, inner, outer
        return Block(number, x, y, self._residual(y), ordered, widths_of, self._elements(ordered))

    def _weights(self, node: onnx.NodeProto) -> tuple[int, int] | None:
        """The rows' widths before and behind a product by constant weights."""
        if node.op_type not in _PRODUCTS or len(node.input) < 2:
            return None
        size = self.sizes.get(node.input[1], ())
        flags = {a.name: a.i for a in node.attribute}
        if len(size) != 2 or flags.get("transA"):
            return None
        if self.types[node.input[1]] != onnx.TensorProto.FLOAT:
            return None
        before, behind = size[::-1] if flags.get("transB") else size
        return before, behind

    def _with_bias(self, last: onnx.NodeProto, width: int) -> tuple[str, list[onnx.NodeProto]]:
        """The product's result with its bias, and the node that adds the bias."""
        y = last.output[0]
        readers = self.readers.get(y, [])
        if len(readers) == 1 and readers[0].op_type == "Add" and y not in self.outputs:
            other = [name for name in readers[0].input if name != y]
            if len(other) == 1 and self.sizes.get(other[0]) == (width,):
                return readers[0].output[0], [readers[0]]
        return y, []

    def _elements(self, nodes: Sequence[onnx.NodeProto]) -> int:
        """The elements of all constants that these nodes read."""
        read = {name for node in nodes for name in node.input if name in self.sizes}
        return sum(math.prod(self.sizes[name]) for name in read)

    def _closed(self, nodes: list[onnx.NodeProto], y: str) -> bool:
        """Whether nothing else reads what these nodes compute, except y."""
        inner = {name for node in nodes for name in node.output if name != y}
        outside = (r for name in inner for r in self.readers.get(name, []))
        return not inner & self.outputs and all(any(r is n for n in nodes) for r in outside)

    def _residual(self, y: str) -> str | None:
        """The other operand of the addition that reads y."""
        for node in self.readers.get(y, []):
            if node.op_type in {"Add", *_NORMS}:
                others = [name for name in node.input[:2] if name != y]
                if len(others) == 1 and others[0] not in self.sizes:
                    return others[0]
        return None
