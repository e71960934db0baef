"""ONNX's Softplus and Mish as one operator each: TVM's importer spells out log(1 + e^x).

There a small e^x is lost when 1 is added. Knows no formula.
"""

from tvm import relax

from .node import Node

# Beyond this softplus(x) rounds to x in every format, and below it e^x is a number in float32.
_LINEAR = 40.0


def softplus(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert Softplus."""
    return relax.op.nn.softplus(node.inputs[0], threshold=_LINEAR)


def mish(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert Mish: x tanh(softplus(x))."""
    inner = builder.emit(softplus(builder, node))
    return relax.op.multiply(node.inputs[0], builder.emit(relax.op.tanh(inner)))
