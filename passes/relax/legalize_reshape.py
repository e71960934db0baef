"""Reshapes of sizes that are not known are left to become views.

TVM makes a kernel of every reshape and later finds out which of them only copy. With sizes that are
not known it seldom does, and the kernel divides each place by one size after another, in quotients
of quotients: TVM's simplifier takes exponential time over these. Nothing fuses with a reshape in
either form, and :mod:`check_sizes` has seen to it that there are as many elements as are wanted.
"""

from tvm import relax, tirx

from .graph import known_shape
from .legalize import Legalize


def _reshape(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x = call.args[0]
    symbolic = (
        known_shape(x)
        and known_shape(call)
        and not all(isinstance(size, tirx.IntImm) for size in [*x.ty.shape, *call.ty.shape])
    )
    if not symbolic:
        return call.op.get_attr("FLegalize")(builder, call)
    return call if call.op.name == "relax.reshape" else relax.op.reshape(x, call.ty.shape)


RULES: dict[str, Legalize] = {"relax.reshape": _reshape, "relax.flatten": _reshape}
