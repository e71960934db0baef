"""Products with a constant 0 and quotients of it, which TVM folds to 0 whatever the other operand.

0 times infinity or NaN is NaN, 0/0 too, the zero has a sign, and x/0 is no error. TVM folds as soon
as it sees the number in the kernel: so it stays a tensor, which the kernel reads.
"""

from collections.abc import Callable

import tvm
from tvm import relax, te, topi

from .legalize import Legalize


def _zero(expr: relax.Expr) -> bool:
    """Whether this is a constant scalar of floats that is 0."""
    if not isinstance(expr, tvm.ir.GenericConst) or expr.ty.ndim != 0:
        return False
    return "float" in str(expr.ty.dtype) and float(expr.value.numpy()) == 0


def _keeping_zero(compute: Callable[..., te.Tensor]) -> Legalize:
    def rule(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        if any(map(_zero, call.args)):
            return builder.call_te(compute, *call.args)
        return call.op.get_attr("FLegalize")(builder, call)

    return rule


RULES: dict[str, Legalize] = {
    "relax.multiply": _keeping_zero(topi.multiply),
    "relax.divide": _keeping_zero(topi.divide),
}
