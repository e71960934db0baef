"""Casts between float32 and bfloat16 by their bits.

TVM's own give wrong values where the operand has a name, and lose some NaNs. Other types are cast
to float32 first, and from it.
"""

from tvm import relax, te, topi

from quake_tvm.numerics.number_formats import FORMATS

from .graph import dtype
from .legalize import Legalize

_BITS = "bfloat16"


def _cast(x: te.Tensor, to: str) -> te.Tensor:
    if x.dtype == _BITS:
        x = te.compute(x.shape, lambda *i: FORMATS[_BITS].widen(x(*i)), "widened", "elemwise")
    if to != _BITS:
        return topi.cast(x, to)
    x = topi.cast(x, "float32")
    return te.compute(x.shape, lambda *i: FORMATS[_BITS].narrow(x(*i)), "narrowed", "elemwise")


def _astype(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    (x,), to = call.args, str(call.attrs.dtype)
    if dtype(x) == to:
        return x
    cast = _cast if _BITS in (dtype(x), to) else topi.cast
    return builder.call_te(cast, x, to, primfunc_name_hint="cast")


RULES: dict[str, Legalize] = {"relax.astype": _astype}
