"""Quotients and remainders, with the roundings and the divisions by 0 of torch."""

import math
from typing import Any

from tvm import relax

from .binary import arithmetic
from .converter import TO_FLOAT, Context, converts, dtype_of, is_float

op = relax.op


@converts("div.Tensor", "div.Scalar")
def _div(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = arithmetic(c, self, other, TO_FLOAT)
    if _is_zero(other):
        return _over_zero(c, x, other)
    if isinstance(self, int | float) and self == 0:  # TVM simplifies 0 / x to 0
        undefined = op.logical_or(op.isnan(y), op.equal(y, relax.const(0, c.dtype)))
        return c.emit(op.where(undefined, relax.const(math.nan, c.dtype), x))
    return c.narrowed(c.emit(op.divide(x, y)))


def _is_zero(number: Any) -> bool:
    return isinstance(number, int | float) and number == 0


def _over_zero(c: Context, x: relax.Expr, zero: float) -> relax.Expr:
    """x / 0 for a constant zero, which TVM refuses."""
    infinity = math.copysign(math.inf, zero)
    above, below, nought = (relax.const(v, c.dtype) for v in (infinity, -infinity, 0))
    negative = op.where(op.less(x, nought), below, relax.const(math.nan, c.dtype))
    return c.emit(op.where(op.greater(x, nought), above, negative))


@converts("div.Tensor_mode", "div.Scalar_mode")
def _div_mode(c: Context, self: Any, other: Any, rounding_mode: str | None) -> relax.Expr:
    if rounding_mode is None:
        return _div(c, self, other)
    x, y = arithmetic(c, self, other)
    if not is_float(c.dtype):
        function = op.floor_divide if rounding_mode == "floor" else op.divide
        return c.emit(function(x, y))
    if _is_zero(other):
        return _over_zero(c, x, other)
    if rounding_mode == "trunc":
        return c.narrowed(c.emit(op.trunc(op.divide(x, y))))
    return c.narrowed(_floor_division(c, x, y))


def _opposite(x: relax.Expr, y: relax.Expr, dtype: str) -> relax.Expr:
    """True where x is not zero and x and y have different signs."""
    zero = relax.const(0, dtype)
    differ = op.logical_xor(op.less(x, zero), op.less(y, zero))
    return op.logical_and(op.not_equal(x, zero), differ)


def _floor_division(c: Context, x: relax.Expr, y: relax.Expr) -> relax.Expr:
    """Python's floor division, from the remainder, so that rounding does not pass an integer."""
    zero, half, one = (relax.const(v, dtype_of(x)) for v in (0, 0.5, 1))
    rest = c.emit(op.mod(x, y))
    quotient = c.emit(op.divide(op.subtract(x, rest), y))
    quotient = c.emit(
        op.where(_opposite(rest, y, dtype_of(x)), op.subtract(quotient, one), quotient)
    )
    whole = c.emit(op.floor(quotient))
    whole = c.emit(
        op.where(op.greater(op.subtract(quotient, whole), half), op.add(whole, one), whole)
    )
    by_zero = op.equal(y, zero)
    return c.emit(op.where(by_zero, op.divide(x, y), whole))


def _no_rest(c: Context) -> relax.Expr:
    """The remainder of a division by 0."""
    if not is_float(c.dtype):
        raise c.refuse("of whole numbers by 0")
    return c.full(c.shape, math.nan, c.dtype)


@converts("fmod.Tensor", "fmod.Scalar")
def _fmod(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = arithmetic(c, self, other)
    if _is_zero(other):
        return _no_rest(c)
    return c.narrowed(c.emit(op.mod(x, y)))


@converts("remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor")
def _remainder(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = arithmetic(c, self, other)
    if _is_zero(other):
        return _no_rest(c)
    if not is_float(c.dtype):
        return c.emit(op.floor_mod(x, y))
    rest = c.emit(op.mod(x, y))
    opposite = _opposite(rest, y, dtype_of(x))
    return c.narrowed(c.emit(op.where(opposite, op.add(rest, y), rest)))
