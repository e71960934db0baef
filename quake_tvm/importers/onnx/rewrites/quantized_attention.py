"""com.microsoft.QAttention: the projection in integers, and the rest as in Attention."""

import onnx

from .attention import attend
from .graph import Graph
from .quantized_products import real_product


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard.

    Raises
    ------
    QuakeError
        For weights or masks of an unsupported shape.
    """
    names = [*node.input, *[""] * (8 - len(node.input))]
    x, weights, bias, x_scale, weights_scale, mask, x_zero, weights_zero = names[:8]
    a, b = (x, x_scale, x_zero), (weights, weights_scale, weights_zero)
    attend(node, graph, real_product(graph, a, b, bias), weights, mask, "")
