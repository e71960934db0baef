"""Element-wise operators of one operand, in the dtypes in which torch computes them."""

import math
from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax

from .converter import Context, converts, dtype_of, is_float

op = relax.op
_EXP, _CAST = map(tvm.ir.Op.get, ("relax.exp", "relax.astype"))
# Beyond this softplus(x) rounds to x in every format, and below it e^x is a number in float32.
_LINEAR = 40.0


def _plain(function: Callable) -> Callable:
    return lambda c, x: c.emit(function(x))


def _unary(operator: str, build: Callable, in_half: bool = False) -> None:
    """Register an operator on floats. Halves are computed in float32 unless ``in_half`` is set."""

    @converts(operator)
    def convert(c: Context, self: relax.Expr) -> relax.Expr:
        x = c.cast(self, c.dtype)
        return c.narrowed(build(c, x if in_half else c.widened(x)))


def _scaled(function: Callable, factor: float) -> Callable:
    return lambda c, x: c.emit(op.multiply(function(x), relax.const(factor, dtype_of(x))))


def _exponent(c: Context, x: relax.Expr) -> relax.Expr | None:
    """y if x is exp(y), also with casts to halves and back between."""
    made: Any = c.builder.lookup_binding(x)
    while isinstance(made, relax.Call) and made.op == _CAST and is_float(dtype_of(made.args[0])):
        made = c.builder.lookup_binding(made.args[0])
    if not isinstance(made, relax.Call) or made.op != _EXP:
        return None
    y = c.widened(made.args[0])
    return y if dtype_of(y) == dtype_of(x) else None


def _log1p(c: Context, x: relax.Expr) -> relax.Expr:
    """log(1 + x), accurate for small x (Kahan's correction).

    After an exponential it is softplus, by which the softplus family is recognised.
    """
    exponent = _exponent(c, x)
    if exponent is not None:
        return c.emit(op.nn.softplus(exponent, threshold=_LINEAR))
    one = relax.const(1, dtype_of(x))
    u = c.emit(op.add(x, one))
    log = c.emit(op.log(u))
    done = c.emit(op.subtract(u, one))
    corrected = c.emit(op.multiply(log, op.divide(x, done)))
    small = c.emit(op.equal(done, relax.const(0, dtype_of(x))))
    corrected = c.emit(op.where(small, x, corrected))
    infinite = c.emit(op.equal(x, relax.const(math.inf, dtype_of(x))))
    return c.emit(op.where(infinite, x, corrected))


def _expm1(c: Context, x: relax.Expr) -> relax.Expr:
    """exp(x) - 1 = tanh(x / 2) (exp(x) + 1), which has no cancellation."""
    half = op.multiply(x, relax.const(0.5, dtype_of(x)))
    above = op.add(op.exp(x), relax.const(1, dtype_of(x)))
    return c.emit(op.multiply(op.tanh(half), above))


def _atanh(c: Context, x: relax.Expr) -> relax.Expr:
    """atanh(x) = log(1 + 2x / (1 - x)) / 2, accurate for small x: TVM's gives 0 there."""
    one, two, half = (relax.const(value, dtype_of(x)) for value in (1, 2, 0.5))
    size = c.emit(op.abs(x))
    ratio = c.emit(op.divide(op.multiply(size, two), op.subtract(one, size)))
    found = op.multiply(_log1p(c, ratio), half)
    return c.emit(op.where(op.less(x, relax.const(0, dtype_of(x))), op.negative(found), found))


def _never(c: Context, x: relax.Expr) -> relax.Expr:
    return c.emit(op.full(c.shape, relax.const(False, "bool"), "bool"))


for _name in ("exp", "sigmoid", "tanh", "erf", "sqrt", "rsqrt"):
    _unary(f"{_name}.default", _plain(getattr(op, _name)), in_half=True)
for _name in (
    *("log", "sin", "cos", "tan", "sinh", "cosh", "asin", "acos", "atan"),
    *("asinh", "acosh"),
):
    _unary(f"{_name}.default", _plain(getattr(op, _name)))
_unary("log2.default", _scaled(op.log, 1 / math.log(2)))
_unary("log10.default", _scaled(op.log, 1 / math.log(10)))
_unary("exp2.default", lambda c, x: c.emit(op.power(relax.const(2, dtype_of(x)), x)))
_unary("log1p.default", _log1p)
_unary("expm1.default", _expm1)
_unary("atanh.default", _atanh)


@converts("reciprocal.default")
def _reciprocal(c: Context, self: relax.Expr) -> relax.Expr:
    return c.emit(op.divide(relax.const(1, c.dtype), c.cast(self, c.dtype)))


def _rounding(operator: str, function: Callable) -> None:
    @converts(f"{operator}.default")
    def convert(c: Context, self: relax.Expr) -> relax.Expr:
        return c.emit(function(self)) if is_float(c.dtype) else self


for _name in ("ceil", "floor", "trunc", "round"):
    _rounding(_name, getattr(op, _name))


@converts("abs.default")
def _abs(c: Context, self: relax.Expr) -> relax.Expr:
    return self if c.dtype in ("bool", "uint8") else c.emit(op.abs(self))


@converts("neg.default", "_neg_view.default")
def _neg(c: Context, self: relax.Expr) -> relax.Expr:
    if c.dtype.startswith("uint"):  # TVM multiplies by -1
        return c.emit(op.subtract(relax.const(0, c.dtype), self))
    return c.emit(op.negative(self))


@converts("sign.default")
def _sign(c: Context, self: relax.Expr) -> relax.Expr:
    if c.dtype == "bool":
        return self
    if c.dtype.startswith("uint"):
        return c.emit(op.minimum(self, relax.const(1, c.dtype)))
    sign = c.emit(op.sign(self))
    if not is_float(c.dtype):
        return sign
    # torch counts NaN as neither positive nor negative.
    return c.emit(op.where(op.isnan(self), relax.const(0, c.dtype), sign))


@converts("relu.default")
def _relu(c: Context, self: relax.Expr) -> relax.Expr:
    if is_float(c.dtype):
        return c.emit(op.nn.relu(self))
    return c.emit(op.maximum(self, relax.const(0, c.dtype)))


@converts("gelu.default")
def _gelu(c: Context, self: relax.Expr, approximate: str) -> relax.Expr:
    return c.emit(op.nn.gelu(self) if approximate == "none" else op.nn.gelu_tanh(self))


@converts("leaky_relu.default")
def _leaky_relu(c: Context, self: relax.Expr, negative_slope: float) -> relax.Expr:
    return c.emit(op.nn.leakyrelu(self, negative_slope))


@converts("elu.default")
def _elu(c: Context, self: relax.Expr, alpha: float, scale: float, input_scale: float) -> Any:
    def times(x: relax.Expr, factor: float) -> relax.Expr:
        return x if factor == 1 else op.multiply(x, relax.const(factor, c.dtype))

    below = op.subtract(op.exp(times(self, input_scale)), relax.const(1, c.dtype))
    positive = op.greater(self, relax.const(0, c.dtype))
    return c.emit(op.where(positive, times(self, scale), times(below, alpha * scale)))


@converts("clamp.default", "clamp.Tensor")
def _clamp(c: Context, self: relax.Expr, min: Any, max: Any) -> relax.Expr:
    return _clamped(c, self, min, max)


@converts("hardtanh.default")
def _hardtanh(c: Context, self: relax.Expr, min_val: Any, max_val: Any) -> relax.Expr:
    return _clamped(c, self, min_val, max_val)


def _clamped(c: Context, x: relax.Expr, low: Any, high: Any) -> relax.Expr:
    x = c.cast(x, c.dtype)
    numbers = all(isinstance(bound, int | float | None) for bound in (low, high))
    if any(isinstance(bound, float) and math.isnan(bound) for bound in (low, high)):
        raise c.refuse("with a bound that is no number")
    if c.dtype == "bool":
        if low is not None:
            x = c.emit(op.logical_or(x, c.tensor(low, "bool")))
        return x if high is None else c.emit(op.logical_and(x, c.tensor(high, "bool")))
    if numbers and is_float(c.dtype):
        low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
        if low <= high:
            return c.emit(op.clip(x, low, high))
    if low is not None:
        x = c.emit(op.maximum(x, c.tensor(low, c.dtype)))
    if high is not None:
        x = c.emit(op.minimum(x, c.tensor(high, c.dtype)))
    return x


@converts("isnan.default")
def _isnan(c: Context, self: relax.Expr) -> relax.Expr:
    return c.emit(op.isnan(self)) if is_float(dtype_of(self)) else _never(c, self)


@converts("isinf.default")
def _isinf(c: Context, self: relax.Expr) -> relax.Expr:
    if not is_float(dtype_of(self)):
        return _never(c, self)
    return c.emit(op.equal(op.abs(self), relax.const(math.inf, dtype_of(self))))
