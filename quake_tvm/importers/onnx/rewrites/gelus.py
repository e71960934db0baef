"""ONNX Runtime's forms of GELU as operators of the standard."""

import math

import onnx
from onnx import helper

from .graph import Graph, attributes


def gelu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Gelu: x·(1 + erf(x/√2))/2."""
    _gelu(graph, node.input[0], node.output[0])


def bias_gelu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit BiasGelu: Gelu of the sum."""
    _gelu(graph, graph.emit("Add", node.input), node.output[0])


def bias_split_gelu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit BiasSplitGelu: the first half of the sum's columns times Gelu of the second half."""
    total = graph.emit("Add", node.input)
    halves = [graph.fresh(name) for name in ("first", "second")]
    graph.keep(helper.make_node("Split", [total], halves, axis=-1, num_outputs=2))
    gate = graph.fresh("gate")
    _gelu(graph, halves[1], gate)
    graph.emit("Mul", [halves[0], gate], node.output[0])


def fast_gelu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit FastGelu: x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, of a sum if there is a bias."""
    given = [name for name in node.input if name]
    x = graph.emit("Add", given) if len(given) == 2 else given[0]
    square = graph.emit("Mul", [x, x])
    inner = graph.emit("Mul", [square, _number(graph, x, 0.044715 * math.sqrt(2 / math.pi))])
    inner = graph.emit("Add", [inner, _number(graph, x, math.sqrt(2 / math.pi))])
    tanh = graph.emit("Tanh", [graph.emit("Mul", [x, inner])])
    _half_of_one_plus(graph, x, tanh, node.output[0])


def quick_gelu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QuickGelu: x·sigmoid(alpha·x). An alpha of 1 makes it SiLU."""
    (x,), alpha = node.input, attributes(node).get("alpha", 1.702)
    scaled = x if alpha == 1.0 else graph.emit("Mul", [x, _number(graph, x, alpha)])
    graph.emit("Mul", [x, graph.emit("Sigmoid", [scaled])], node.output[0])


def _gelu(graph: Graph, x: str, output: str) -> None:
    error = graph.emit("Erf", [graph.emit("Mul", [x, _number(graph, x, math.sqrt(0.5))])])
    _half_of_one_plus(graph, x, error, output)


def _half_of_one_plus(graph: Graph, x: str, y: str, output: str) -> None:
    """Emit x·(1 + y)/2."""
    half = graph.emit("Mul", [x, _number(graph, x, 0.5)])
    graph.emit("Mul", [half, graph.emit("Add", [y, _number(graph, x, 1.0)])], output)


def _number(graph: Graph, x: str, value: float) -> str:
    return graph.constant(value, graph.dtype(x), "number")
