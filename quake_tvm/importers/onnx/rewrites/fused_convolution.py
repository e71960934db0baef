"""ONNX Runtime's convolutions with an addition, an activation, or channels last."""

import onnx
from onnx import helper

from ....errors import QuakeError
from . import channels
from .fused_activations import activate
from .graph import Graph, attributes


def fused_conv(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit FusedConv as a Conv, an addition and its activation."""
    x, weights, bias, added = [*node.input, "", ""][:4]
    _emit(node, graph, [x, weights, *([bias] if bias else [])], added, node.output[0])


def nhwc_conv(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit NhwcConv, whose weights have their channels last too. Raises QuakeError as below."""
    _channels_last(node, graph, weights_too=True)


def nhwc_fused_conv(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit NhwcFusedConv, whose weights are those of Conv. Raises QuakeError as below."""
    _channels_last(node, graph, weights_too=False)


def _channels_last(node: onnx.NodeProto, graph: Graph, weights_too: bool) -> None:
    """Emit the convolution between two transpositions.

    Raises
    ------
    QuakeError
        If the input has no known rank.
    """
    x, weights, bias, added = [*node.input, "", ""][:4]
    rank = graph.rank(weights) or graph.rank(x)
    if rank is None:
        raise QuakeError(f"com.microsoft.{node.op_type}: the rank of {x!r} must be known")
    if weights_too:
        weights = channels.to_first(graph, weights, rank)
    operands = [channels.to_first(graph, x, rank), weights, *([bias] if bias else [])]
    added = added and channels.to_first(graph, added, rank)
    result = graph.fresh("channels_first")
    _emit(node, graph, operands, added, result)
    channels.to_last(graph, result, rank, node.output[0])


def _emit(node: onnx.NodeProto, graph: Graph, operands: list[str], added: str, output: str) -> None:
    given = attributes(node)
    activation, parameters = given.pop("activation", ""), given.pop("activation_params", [])
    result = graph.fresh("conv") if added or activation else output
    graph.keep(helper.make_node("Conv", operands, [result], node.name, **given))
    if added:
        result = graph.emit("Add", [result, added], "" if activation else output)
    if activation:
        activate(graph, node.op_type, result, activation, parameters, output)
