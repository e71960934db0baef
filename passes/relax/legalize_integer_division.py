"""Integer divisions by data that would make the processor end the program.

Division by 0 gives a quotient and a remainder of 0, as in NumPy. Division of the lowest number by
-1 wraps around. In both cases the divisor becomes 1, and the quotient is multiplied by 0 or -1. A
select between results would not do, because TVM moves it back to the divisor. Divisions by
other constants are TVM's own.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax, te, tirx, topi

from .legalize import Legalize

Divide = Callable[[te.Tensor, te.Tensor], te.Tensor]


def _safe(divisor: relax.Expr) -> bool:
    """Whether a divisor is a constant without 0 and -1."""
    if not isinstance(divisor, tvm.ir.GenericConst):
        return False
    return not np.isin(divisor.value.numpy().astype(np.int64), (0, -1)).any()


def _rule(divide: Divide, is_rest: bool) -> Legalize:
    def guarded(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        kind = str(y.dtype)

        def number(value: int) -> tirx.Expr:
            return tirx.const(value, kind)

        def divisor(*at: tirx.Var) -> tirx.Expr:
            unsafe = y(*at) == number(0)
            if not kind.startswith("uint"):
                unsafe = tirx.Or(unsafe, y(*at) == number(-1))
            return tirx.Select(unsafe, number(1), y(*at))

        def factor(*at: tirx.Var) -> tirx.Expr:
            chosen = number(1)
            if not kind.startswith("uint"):
                chosen = tirx.Select(y(*at) == number(-1), number(-1), chosen)
            return tirx.Select(y(*at) == number(0), number(0), chosen)

        result = divide(x, te.compute(y.shape, divisor, name="divisor"))
        if is_rest:
            return result
        return topi.multiply(result, te.compute(y.shape, factor, name="factor"))

    def rule(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        divisor = call.args[1]
        whole = "int" in str(divisor.ty.dtype)
        if not whole or _safe(divisor):
            return call.op.get_attr("FLegalize")(builder, call)
        name = call.op.name.removeprefix("relax.")
        return builder.call_te(guarded, *call.args, primfunc_name_hint=name)

    return rule


RULES: dict[str, Legalize] = {
    "relax.divide": _rule(topi.divide, is_rest=False),
    "relax.floor_divide": _rule(topi.floor_divide, is_rest=False),
    "relax.mod": _rule(topi.mod, is_rest=True),
    "relax.floor_mod": _rule(topi.floor_mod, is_rest=True),
}
