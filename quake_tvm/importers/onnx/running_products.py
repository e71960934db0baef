"""ONNX's CumProd: the products of the elements up to each one."""

from tvm import relax

from .node import Node


def cum_prod(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert CumProd.

    Raises
    ------
    QuakeError
        If the axis is no constant, or is out of range.
    """
    rank, axis = len(node.shape()), int(node.required(1).reshape(()))
    if not -rank <= axis < rank:
        raise node.refuse(f"axis {axis} of {rank} dimensions")
    exclusive, reverse = (bool(node.attributes.get(n, 0)) for n in ("exclusive", "reverse"))
    x = node.inputs[0]
    if reverse:
        x = builder.emit(relax.op.flip(x, axis % rank))
    x = builder.emit(relax.op.cumprod(x, axis % rank, node.dtype(), exclusive))
    return relax.op.flip(x, axis % rank) if reverse else x
