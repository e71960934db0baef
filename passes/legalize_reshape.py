"""Reshapes of several dynamic extents, whose places TVM's lowering writes out again and again.

A floor division is lowered to its dividend several times over. In a chain of them, one for each
extent, that doubles with every link: DepthToSpace of dynamic extents did not end compiling. Places
are not negative, so that plain divisions do.
"""

import tvm
from tvm import relax, te, tirx

from .legalize import Legalize

# Where fewer extents are dynamic, TVM's simplifier mostly leaves no chain.
_SEVERAL = 3


def _reshape(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, wanted = call.args
    extents = list(x.ty.shape)
    open_ = [n for n in extents if not isinstance(n, tirx.IntImm)]
    if len(open_) < _SEVERAL or not isinstance(wanted, relax.ShapeExpr):
        return call.op.get_attr("FLegalize")(builder, call)

    def reshape(x: te.Tensor, shape: list[tvm.ir.Expr]) -> te.Tensor:
        def element(*i: tirx.Var) -> tirx.Expr:
            place, at = tirx.const(0, "int64"), []
            for k, n in zip(i, shape, strict=True):
                place = place * n + k
            for n in reversed(x.shape[1:]):
                at.insert(0, tirx.truncmod(place, n))
                place = tirx.truncdiv(place, n)
            return x(place, *at)

        return te.compute(shape, element, name="T_reshape")

    return builder.call_te(reshape, x, list(wanted.values), primfunc_name_hint="reshape")


RULES: dict[str, Legalize] = {"relax.reshape": _reshape}
