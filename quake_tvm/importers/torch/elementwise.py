"""Element-wise operators, in the dtypes in which torch computes them."""

import math
from collections.abc import Callable
from typing import Any

from tvm import relax

from .converter import DEFAULT, TO_FLOAT, Context, converts, dtype_of, is_float

op = relax.op


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


def _log1p(c: Context, x: relax.Expr) -> relax.Expr:
    """log(1 + x), accurate for small x (Kahan's correction).

    After an exponential it is plain log(1 + x), the form by which the softplus family is
    recognised.
    """
    one = relax.const(1, dtype_of(x))
    u = c.emit(op.add(x, one))
    log = c.emit(op.log(u))
    argument: Any = c.node.args[0]
    if str(argument.target) == "aten.exp.default":
        return log
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


def _never(c: Context, x: relax.Expr) -> relax.Expr:
    return c.emit(op.full(c.shape, relax.const(False, "bool"), "bool"))


for _name in ("exp", "sigmoid", "tanh", "erf", "sqrt", "rsqrt"):
    _unary(f"{_name}.default", _plain(getattr(op, _name)), in_half=True)
for _name in (
    *("log", "sin", "cos", "tan", "sinh", "cosh", "asin", "acos", "atan"),
    *("asinh", "acosh", "atanh"),
):
    _unary(f"{_name}.default", _plain(getattr(op, _name)))
_unary("log2.default", _scaled(op.log, 1 / math.log(2)))
_unary("log10.default", _scaled(op.log, 1 / math.log(10)))
_unary("exp2.default", lambda c, x: c.emit(op.power(relax.const(2, dtype_of(x)), x)))
_unary("log1p.default", _log1p)
_unary("expm1.default", _expm1)


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


@converts("neg.default")
def _neg(c: Context, self: relax.Expr) -> relax.Expr:
    return c.emit(op.negative(self))


@converts("sign.default")
def _sign(c: Context, self: relax.Expr) -> relax.Expr:
    if c.dtype == "bool":
        return self
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


# Operators with two operands.


def _operands(c: Context, this: Any, other: Any, kind: Any = DEFAULT) -> tuple[Any, Any]:
    dtype = c.common_dtype("self", "other", kind=kind)
    return c.tensor(this, dtype), c.tensor(other, dtype)


@converts("add.Tensor", "add.Scalar")
def _add(c: Context, self: Any, other: Any, alpha: Any) -> relax.Expr:
    x, y = _operands(c, self, other)
    if c.dtype == "bool":
        if alpha != 1:
            raise c.refuse("of bool with alpha")
        return c.emit(op.logical_or(x, y))
    return c.emit(op.add(x, _times(c, y, alpha)))


@converts("sub.Tensor", "sub.Scalar")
def _sub(c: Context, self: Any, other: Any, alpha: Any) -> relax.Expr:
    x, y = _operands(c, self, other)
    return c.emit(op.subtract(x, _times(c, y, alpha)))


def _times(c: Context, x: relax.Expr, factor: Any) -> relax.Expr:
    if isinstance(factor, int | float) and factor == 1:
        return x
    return c.emit(op.multiply(x, c.tensor(factor, dtype_of(x))))


def _binary(names: tuple[str, ...], function: Callable, of_bool: Callable | None = None) -> None:
    @converts(*names)
    def convert(c: Context, self: Any, other: Any) -> relax.Expr:
        x, y = _operands(c, self, other)
        return c.emit((of_bool if of_bool and dtype_of(x) == "bool" else function)(x, y))


@converts("mul.Tensor", "mul.Scalar")
def _mul(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = _operands(c, self, other)
    if c.dtype == "bool":
        return c.emit(op.logical_and(x, y))
    for number, tensor in ((self, y), (other, x)):
        if isinstance(number, int | float) and number == 0 and is_float(c.dtype):
            return _times_zero(c, tensor)
    return c.emit(op.multiply(x, y))


def _times_zero(c: Context, x: relax.Expr) -> relax.Expr:
    """0 * x. TVM simplifies it to 0, also for infinity and NaN."""
    finite = op.less(op.abs(x), relax.const(math.inf, c.dtype))
    return c.emit(op.where(finite, relax.const(0, c.dtype), relax.const(math.nan, c.dtype)))


_binary(("maximum.default",), op.maximum, op.logical_or)
_binary(("minimum.default",), op.minimum, op.logical_and)
for _name, _logical in (("and", op.logical_and), ("or", op.logical_or), ("xor", op.logical_xor)):
    _names = tuple(f"bitwise_{_name}.{kind}" for kind in ("Tensor", "Scalar", "Scalar_Tensor"))
    _binary(_names, getattr(op, f"bitwise_{_name}"), _logical)


@converts("bitwise_not.default")
def _bitwise_not(c: Context, self: relax.Expr) -> relax.Expr:
    return _not(c, self) if c.dtype == "bool" else c.emit(op.bitwise_not(self))


def _not(c: Context, x: relax.Expr) -> relax.Expr:
    """Not, as a comparison: TVM turns `not a < b` into `b <= a`, which is wrong for NaN."""
    return c.emit(op.equal(op.astype(x, "int8"), relax.const(0, "int8")))


def _comparison(name: str, function: Callable) -> None:
    @converts(f"{name}.Tensor", f"{name}.Scalar")
    def convert(c: Context, self: Any, other: Any) -> relax.Expr:
        x, y = _operands(c, self, other)
        if dtype_of(x) == "bool":
            x, y = c.emit(op.astype(x, "int8")), c.emit(op.astype(y, "int8"))
        if function is op.not_equal and is_float(dtype_of(x)):
            return _not(c, c.emit(op.equal(x, y)))  # TVM's not_equal is false for NaN
        return c.emit(function(x, y))


for _name, _function in {
    **{"eq": op.equal, "ne": op.not_equal, "gt": op.greater, "ge": op.greater_equal},
    **{"lt": op.less, "le": op.less_equal},
}.items():
    _comparison(_name, _function)


def _logic(name: str, function: Callable) -> None:
    @converts(f"logical_{name}.default")
    def convert(c: Context, self: relax.Expr, other: relax.Expr) -> relax.Expr:
        return c.emit(function(c.cast(self, "bool"), c.cast(other, "bool")))


for _name in ("and", "or", "xor"):
    _logic(_name, getattr(op, f"logical_{_name}"))


@converts("logical_not.default")
def _logical_not(c: Context, self: relax.Expr) -> relax.Expr:
    return _not(c, c.cast(self, "bool"))


@converts("where.self")
def _where(c: Context, condition: relax.Expr, self: Any, other: Any) -> relax.Expr:
    x, y = _operands(c, self, other)
    return c.emit(op.where(c.cast(condition, "bool"), x, y))


@converts("atan2.default")
def _atan2(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = _operands(c, self, other, TO_FLOAT)
    return c.narrowed(c.emit(op.atan2(c.widened(x), c.widened(y))))


# Division.


@converts("div.Tensor", "div.Scalar")
def _div(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = _operands(c, self, other, TO_FLOAT)
    if _is_zero(other):
        return _over_zero(c, x, other)
    if isinstance(self, int | float) and self == 0:  # TVM simplifies 0 / x to 0
        undefined = op.logical_or(op.isnan(y), op.equal(y, relax.const(0, c.dtype)))
        return c.emit(op.where(undefined, relax.const(math.nan, c.dtype), x))
    return c.emit(op.divide(x, y))


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
    x, y = _operands(c, self, other)
    if not is_float(c.dtype):
        function = op.floor_divide if rounding_mode == "floor" else op.divide
        return c.emit(function(x, y))
    if _is_zero(other):
        return _over_zero(c, x, other)
    if rounding_mode == "trunc":
        return c.emit(op.trunc(op.divide(x, y)))
    return _floor_division(c, x, y)


def _fmod(x: relax.Expr, y: relax.Expr) -> relax.Expr:
    return op.mod(x, y)


def _opposite(x: relax.Expr, y: relax.Expr, dtype: str) -> relax.Expr:
    """True where x is not zero and x and y have different signs."""
    zero = relax.const(0, dtype)
    differ = op.logical_xor(op.less(x, zero), op.less(y, zero))
    return op.logical_and(op.not_equal(x, zero), differ)


def _floor_division(c: Context, x: relax.Expr, y: relax.Expr) -> relax.Expr:
    """Python's floor division, from the remainder, so that rounding does not pass an integer."""
    zero, half, one = (relax.const(v, c.dtype) for v in (0, 0.5, 1))
    rest = c.emit(_fmod(x, y))
    quotient = c.emit(op.divide(op.subtract(x, rest), y))
    quotient = c.emit(op.where(_opposite(rest, y, c.dtype), op.subtract(quotient, one), quotient))
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
def _fmod_convert(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = _operands(c, self, other)
    if _is_zero(other):
        return _no_rest(c)
    if is_float(c.dtype):
        return c.emit(_fmod(x, y))
    return c.emit(op.mod(x, y))


@converts("remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor")
def _remainder(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = _operands(c, self, other)
    if _is_zero(other):
        return _no_rest(c)
    if not is_float(c.dtype):
        return c.emit(op.floor_mod(x, y))
    rest = c.emit(_fmod(x, y))
    return c.emit(op.where(_opposite(rest, y, c.dtype), op.add(rest, y), rest))


# Powers.


@converts("pow.Tensor_Scalar")
def _pow_scalar(c: Context, self: relax.Expr, exponent: Any) -> relax.Expr:
    if is_float(c.dtype):
        x = c.cast(self, c.dtype)
        if exponent == 0.5:
            return c.emit(op.sqrt(x))
        return c.emit(op.power(x, c.tensor(exponent, c.dtype)))
    if not isinstance(exponent, int) or exponent < 0:
        raise c.refuse(f"of whole numbers to {exponent}")
    result, base = None, self
    while exponent:
        if exponent & 1:
            result = base if result is None else c.emit(op.multiply(result, base))
        exponent >>= 1
        if exponent:
            base = c.emit(op.multiply(base, base))
    return c.emit(op.full(c.shape, relax.const(1, c.dtype), c.dtype)) if result is None else result


@converts("pow.Tensor_Tensor", "pow.Scalar")
def _pow(c: Context, self: Any, exponent: Any) -> relax.Expr:
    if not is_float(c.dtype):
        raise c.refuse("of whole numbers")
    return c.emit(op.power(c.tensor(self, c.dtype), c.tensor(exponent, c.dtype)))
