"""The look-ups of this library's own domain in ONNX files."""

from tvm import relax

from ...errors import QuakeError
from ...kernels.lookup_operator import check, lookup_ffn
from .node import Node
from .own_operators import OPERATORS


def lookup(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert a look-up to ``quake.lookup_ffn``.

    Raises
    ------
    QuakeError
        For operands that do not fit.
    """
    wanted = len(OPERATORS[node.operator].inputs)
    if len(node.inputs) != wanted:
        raise node.refuse(f"it has {len(node.inputs)} inputs, not {wanted}")
    bits = int(node.attributes.get("bits", 0))
    z, tables, *scales, bias = (value.ty for value in node.inputs)
    try:
        check(z, tables, scales[0] if scales else None, bias, bits)
    except QuakeError as error:
        raise node.refuse(str(error)) from None
    return builder.emit(lookup_ffn(*node.inputs, bits=bits))
