"""ONNX Runtime's matrix products with transpositions, a factor or an activation."""

import onnx
from onnx import helper

from ....errors import QuakeError
from .fused_activations import activate
from .graph import Graph, attributes
from .scaled_products import rewrite as gemm


def fused_mat_mul(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit FusedMatMul as transpositions, a product and a factor.

    Raises
    ------
    QuakeError
        If an operand to transpose has no known rank.
    """
    given = attributes(node)
    operands = [
        _turned(graph, node, name, bool(given.get(f"trans{k}")), bool(given.get(f"transBatch{k}")))
        for name, k in zip(node.input, "AB", strict=True)
    ]
    alpha = given.get("alpha", 1.0)
    if alpha == 1.0:
        graph.emit("MatMul", operands, node.output[0])
        return
    product = graph.emit("MatMul", operands)
    factor = graph.constant(alpha, graph.dtype(node.input[0]), "alpha")
    graph.emit("Mul", [product, factor], node.output[0])


def fused_gemm(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit FusedGemm as Gemm and its activation."""
    given = attributes(node)
    activation = given.pop("activation", "")
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    parameters = [given.pop(name) for name in names if name in given]
    product = graph.fresh("gemm") if activation else node.output[0]
    gemm(helper.make_node("Gemm", node.input, [product], node.name, **given), graph)
    if activation:
        activate(graph, node.op_type, product, activation, parameters, node.output[0])


def _turned(graph: Graph, node: onnx.NodeProto, name: str, swap: bool, batch: bool) -> str:
    """The operand with its last dimensions swapped, and with the first moved before the last."""
    rank = graph.rank(name)
    if (not swap and not batch) or rank == 1:
        return name
    if rank is None:
        raise QuakeError(f"com.microsoft.{node.op_type}: the rank of {name!r} must be known")
    order = list(range(rank))
    if batch:  # (m, b, k) to (b, m, k), the batch of any rank
        order = [*order[1:-1], 0, order[-1]]
    if swap:
        order[-2:] = order[:-3:-1]
    return graph.emit("Transpose", [name], perm=order)
