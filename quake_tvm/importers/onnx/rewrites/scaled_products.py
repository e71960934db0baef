"""Gemm with alpha applied to the product, and without C if beta = 0.

The importer scales an operand, which may overflow, and computes 0 * NaN, which is NaN.
"""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the product, its scaling and the addition of beta * C."""
    given = attributes(node)
    alpha, beta = given.pop("alpha", 1.0), given.pop("beta", 1.0)
    if alpha == 1.0 and beta != 0.0:
        graph.keep(node)
        return
    a, b, *added = node.input
    added = [c for c in added if c and beta != 0.0]
    output, dtype = node.output[0], graph.dtype(a)
    if alpha == 1.0:
        graph.emit("Gemm", [a, b], output, **given)
        return
    product = graph.emit("Gemm", [a, b], **given)
    scale = graph.constant(alpha, dtype, "alpha")
    scaled = graph.emit("Mul", [product, scale], "" if added else output)
    for c in added:
        if beta != 1.0:
            c = graph.emit("Mul", [c, graph.constant(beta, dtype, "beta")])
        graph.emit("Add", [scaled, c], output)
