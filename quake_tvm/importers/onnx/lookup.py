"""The look-ups of this library's own domain in ONNX files."""

import tvm_ffi
from tvm import relax

from ...errors import QuakeError
from ...kernels import choice_operator
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
    _check_inputs(node)
    bits = int(node.attributes.get("bits", 0))
    z, tables, *scales, bias = (value.ty for value in node.inputs)
    try:
        check(z, tables, scales[0] if scales else None, bias, bits)
    except QuakeError as error:
        raise node.refuse(str(error)) from None
    return builder.emit(lookup_ffn(*node.inputs, bits=bits))


def choice(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert the choice between a layer and its look-up to ``quake.choice``.

    Raises
    ------
    QuakeError
        If the operands are not of one type, or the layer has no number.
    """
    _check_inputs(node)
    if "number" not in node.attributes:
        raise node.refuse("it has no attribute number")
    layer, look_up = node.inputs
    if not tvm_ffi.structural_equal(layer.ty, look_up.ty):
        raise node.refuse("a layer and its look-up give the same shape and type")
    return builder.emit(choice_operator.choice(layer, look_up, int(node.attributes["number"])))


def _check_inputs(node: Node) -> None:
    wanted = len(OPERATORS[node.operator].inputs)
    if len(node.inputs) != wanted:
        raise node.refuse(f"it has {len(node.inputs)} inputs, not {wanted}")
