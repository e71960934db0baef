"""com.microsoft.EmbedLayerNormalization as Gathers, additions and a LayerNormalization."""

import onnx
from onnx import TensorProto, helper

from .graph import Graph, attributes
from .quantized import dequantized


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard."""
    given = [*node.input, "", "", ""]
    ids, segments, words, positions, segment_table, gamma, beta, mask, places = given[:9]
    output, mask_index, total = [*node.output, "", ""][:3]
    rows = graph.emit("Gather", [words, ids])
    if places:
        at = graph.emit("Gather", [positions, places])
    else:
        at = graph.emit("Gather", [positions, graph.count_up(ids, 1)])
    if segments:
        rows = graph.emit("Add", [rows, at])
        at = graph.emit("Gather", [segment_table, segments])
    total = graph.emit("Add", [rows, at], total)
    epsilon = attributes(node).get("epsilon", 1e-12)
    graph.emit("LayerNormalization", [total, gamma, beta], output, axis=-1, epsilon=epsilon)
    if mask_index in graph.used:
        _count(graph, ids, mask, mask_index)


def quantized(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit com.microsoft.QEmbedLayerNormalization, whose tables and norm are of 8 bits."""
    ids, segments, *tables, mask = node.input[:8]
    scales, points = node.input[8:13], node.input[13:18]
    real = [
        dequantized(graph, table) if table[0] else ""
        for table in zip(tables, scales, points, strict=True)
    ]
    inputs = [ids, segments, *real, mask]
    given = attributes(node)
    rewrite(helper.make_node("EmbedLayerNormalization", inputs, node.output, **given), graph)


def _count(graph: Graph, ids: str, mask: str, output: str) -> None:
    """Emit the number of tokens of each row that the mask keeps; 0 without a mask."""
    axes = graph.constant([1], TensorProto.INT64, "axes")
    kept = mask or graph.emit("Mul", [ids, graph.constant(0, graph.dtype(ids), "zero")])
    count = graph.emit("ReduceSum", [kept, axes], keepdims=0)
    graph.emit("Cast", [count], output, to=TensorProto.INT32)
