"""Leave reshapes of symbolic sizes as they are, so that they become views.

TVM makes a kernel of every reshape and later detects the kernels that only copy. With symbolic
sizes it rarely detects them. The kernel then divides each index by one size after another, and
TVM's simplifier takes exponential time for these nested quotients. Nothing fuses with a reshape in
either form. :mod:`check_sizes` ensures that the number of elements stays the same.
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
