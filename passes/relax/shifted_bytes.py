"""int32 tensors that are bytes minus a zero point. Knows no operator that reads them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import relax

from .graph import dtype, known_shape, op_name
from .quantized import BYTES, constant

# What a variable is bound to, None if to nothing.
Lookup = Callable[[relax.Var], relax.Expr | None]


@dataclass(frozen=True)
class Shifted:
    """Bytes minus a zero point: None, a constant array or an expression, in int32."""

    x: relax.Expr
    zero: np.ndarray | relax.Expr | None

    def within(self, lookup: Lookup) -> bool:
        """Whether the zero point has the type of the bytes, so that no difference exceeds 255."""
        zero, limits = self.zero, np.iinfo(dtype(self.x))
        if zero is None or isinstance(zero, np.ndarray):
            return zero is None or bool(np.all((limits.min <= zero) & (zero <= limits.max)))
        value = bound(zero, lookup)
        while op_name(value) in ("relax.reshape", "relax.expand_dims"):
            value = bound(value.args[0], lookup)
        return op_name(value) == "relax.astype" and dtype(value.args[0]) == dtype(self.x)


def shifted(expr: relax.Expr, lookup: Lookup) -> Shifted | None:
    """The bytes that an int32 operand is made of."""
    value, zero = bound(expr, lookup), None
    if op_name(value) == "relax.subtract":
        zero = value.args[1]
        value = bound(value.args[0], lookup)
    if op_name(value) != "relax.astype" or dtype(value.args[0]) not in BYTES:
        return None
    known = zero if zero is None else _known(zero, lookup)
    return Shifted(value.args[0], zero if known is None else known)


def bound(expr: relax.Expr, lookup: Lookup) -> relax.Expr:
    """What a variable is bound to, else the expression."""
    while isinstance(expr, relax.Var):
        value = lookup(expr)
        if value is None:
            break
        expr = value
    return expr


def _known(expr: relax.Expr, lookup: Lookup) -> np.ndarray | None:
    """The value of what is computed from a constant by casts and changes of shape."""
    value = bound(expr, lookup)
    if op_name(value) not in ("relax.astype", "relax.reshape", "relax.expand_dims"):
        return constant(value)
    inner = _known(value.args[0], lookup)
    if inner is None or not known_shape(value):
        return None
    return inner.reshape([int(n) for n in value.ty.shape]).astype(dtype(value))
