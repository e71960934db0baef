"""The operator ``quake.choice`` in Relax: a feed-forward layer, or the look-up beside it.

Importers write it and a pass replaces it by one of its two operands, of which the other is then
dropped. Its attribute ``number`` is that of the layer, from 0.
"""

import tvm
from tvm import relax

from ..tvm_version import make_attrs, register_op

CHOICE = "quake.choice"


def choice(layer: relax.Expr, look_up: relax.Expr, number: int) -> relax.Call:
    """A call of the operator. Both operands have the same type."""
    return relax.Call(tvm.ir.Op.get(CHOICE), [layer, look_up], make_attrs(number=number))


if CHOICE not in tvm.ir.Op.list_op_names():
    register_op(CHOICE, "a feed-forward layer, or the look-up beside it")
    tvm.ir.register_op_attr(CHOICE, "FInferType", lambda call, _: call.args[0].ty)
    tvm.ir.register_op_attr(CHOICE, "FPurity", True)
