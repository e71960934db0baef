"""Sums, products, powers, comparisons and logic of two operands, and "not"."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tvm import relax

from .converter import DEFAULT, HALF, TO_FLOAT, Context, converts, dims, dtype_of, is_float

op = relax.op


def operands(c: Context, this: Any, other: Any, kind: Any = DEFAULT) -> tuple[Any, Any]:
    """Both operands as tensors of the dtype in which torch computes the operator."""
    dtype = c.common_dtype("self", "other", kind=kind)
    return c.tensor(this, dtype), c.tensor(other, dtype)


def arithmetic(
    c: Context, this: Any, other: Any, kind: Any = DEFAULT, factor: Any = 1
) -> tuple[Any, Any]:
    """Both operands, of halves in float32 if torch computes them so. The result is to be narrowed.

    torch reads a number beside a tensor of halves in float32: there -1e9 is not infinite, 1e-8 is
    not 0 and 7 / 0.7 is 10. ``factor`` is a further number of the operator.
    """
    dtype = c.common_dtype("self", "other", kind=kind)
    numbers = [_is_finer(value, dtype) for value in (this, other)]
    if dtype not in HALF or not any([*numbers, _is_finer(factor, dtype)]):
        return operands(c, this, other, kind)
    x, y = (
        c.tensor(value, "float32") if finer else c.widened(c.tensor(value, dtype))
        for value, finer in zip((this, other), numbers, strict=True)
    )
    return x, y


def _is_finer(value: Any, dtype: str) -> bool:
    """Whether a number, or what a tensor without dimensions holds, is none of this half format."""
    if dtype not in HALF:
        return False
    if isinstance(value, int | float):
        rounded = torch.tensor(value, dtype=getattr(torch, dtype)).item()
        return rounded != value and not math.isnan(value)
    if isinstance(getattr(value, "ty", None), relax.TensorType):
        return not dims(value) and dtype_of(value) not in HALF
    return True  # a size


@converts("add.Tensor", "add.Scalar")
def _add(c: Context, self: Any, other: Any, alpha: Any) -> relax.Expr:
    x, y = arithmetic(c, self, other, factor=alpha)
    if c.dtype == "bool":
        return c.emit(op.logical_or(x, y)) if alpha else x
    return c.narrowed(c.emit(op.add(x, _times(c, y, alpha))))


@converts("sub.Tensor", "sub.Scalar")
def _sub(c: Context, self: Any, other: Any, alpha: Any) -> relax.Expr:
    x, y = arithmetic(c, self, other, factor=alpha)
    return c.narrowed(c.emit(op.subtract(x, _times(c, y, alpha))))


def _times(c: Context, x: relax.Expr, factor: Any) -> relax.Expr:
    if isinstance(factor, int | float) and factor == 1:
        return x
    return c.emit(op.multiply(x, c.tensor(factor, dtype_of(x))))


def _binary(names: tuple[str, ...], function: Callable, of_bool: Callable | None = None) -> None:
    @converts(*names)
    def convert(c: Context, self: Any, other: Any) -> relax.Expr:
        x, y = operands(c, self, other)
        return c.emit((of_bool if of_bool and dtype_of(x) == "bool" else function)(x, y))


@converts("mul.Tensor", "mul.Scalar")
def _mul(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = arithmetic(c, self, other)
    if c.dtype == "bool":
        return c.emit(op.logical_and(x, y))
    for number, tensor in ((self, y), (other, x)):
        if isinstance(number, int | float) and number == 0 and is_float(c.dtype):
            return _times_zero(c, tensor)
    return c.narrowed(c.emit(op.multiply(x, y)))


def _times_zero(c: Context, x: relax.Expr) -> relax.Expr:
    """0 * x. TVM simplifies it to 0, also for infinity and NaN."""
    finite = op.less(op.abs(x), relax.const(math.inf, c.dtype))
    return c.emit(op.where(finite, relax.const(0, c.dtype), relax.const(math.nan, c.dtype)))


_binary(("maximum.default",), op.maximum, op.logical_or)
_binary(("minimum.default",), op.minimum, op.logical_and)
for _name, _logical in (("and", op.logical_and), ("or", op.logical_or), ("xor", op.logical_xor)):
    _names = tuple(f"bitwise_{_name}.{kind}" for kind in ("Tensor", "Scalar", "Scalar_Tensor"))
    _binary(_names, getattr(op, f"bitwise_{_name}"), _logical)


def _shift(direction: str, function: Callable) -> None:
    names = ("Tensor", "Tensor_Scalar", "Scalar_Tensor")

    @converts(
        *(f"bitwise_{direction}_shift.{kind}" for kind in names),
        *(f"__{direction[0]}shift__.{kind}" for kind in ("Tensor", "Scalar")),
    )
    def convert(c: Context, self: Any, other: Any) -> relax.Expr:
        """Shifts that are negative or too wide give 0, or -1 for a negative number to the right."""
        x, y = operands(c, self, other)
        width = np.dtype(c.dtype).itemsize * 8
        zero = relax.const(0, c.dtype)
        inside = op.logical_and(op.greater_equal(y, zero), op.less(y, relax.const(width, c.dtype)))
        shifted = function(x, c.emit(op.where(inside, y, zero)))
        signed = np.issubdtype(c.dtype, np.signedinteger)
        if direction == "left" or not signed:
            return c.emit(op.where(inside, shifted, zero))
        return c.emit(op.where(inside, shifted, function(x, relax.const(width - 1, c.dtype))))


_shift("left", op.left_shift)
_shift("right", op.right_shift)


@converts("bitwise_not.default")
def _bitwise_not(c: Context, self: relax.Expr) -> relax.Expr:
    return _not(c, self) if c.dtype == "bool" else c.emit(op.bitwise_not(self))


def _not(c: Context, x: relax.Expr) -> relax.Expr:
    """Not, as a comparison: TVM turns `not a < b` into `b <= a`, which is wrong for NaN."""
    return c.emit(op.equal(op.astype(x, "int8"), relax.const(0, "int8")))


def _comparison(name: str, function: Callable) -> None:
    @converts(f"{name}.Tensor", f"{name}.Scalar")
    def convert(c: Context, self: Any, other: Any) -> relax.Expr:
        x, y = operands(c, self, other)
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
    x, y = operands(c, self, other)
    return c.emit(op.where(c.cast(condition, "bool"), x, y))


@converts("atan2.default")
def _atan2(c: Context, self: Any, other: Any) -> relax.Expr:
    x, y = operands(c, self, other, TO_FLOAT)
    return c.narrowed(c.emit(op.atan2(c.widened(x), c.widened(y))))


@converts("pow.Tensor_Scalar")
def _pow_scalar(c: Context, self: relax.Expr, exponent: Any) -> relax.Expr:
    if is_float(c.dtype):
        x = c.cast(self, c.dtype)
        if exponent == 0.5:
            return c.emit(op.sqrt(x))
        return c.emit(op.power(x, c.tensor(exponent, c.dtype)))
    if not isinstance(exponent, int) or exponent < 0:
        raise c.refuse(f"of whole numbers to {exponent}")
    result, base = None, c.cast(self, c.dtype)
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
        return _whole_power(c, c.tensor(self, c.dtype), c.tensor(exponent, c.dtype))
    return c.emit(op.power(c.tensor(self, c.dtype), c.tensor(exponent, c.dtype)))


def _whole_power(c: Context, x: relax.Expr, exponent: relax.Expr) -> relax.Expr:
    """Powers of whole numbers by repeated squaring. To a negative exponent: 1 / x, rounded to 0."""
    zero, one = (relax.const(value, c.dtype) for value in (0, 1))
    signed = np.issubdtype(c.dtype, np.signedinteger)
    result, square, left = one, x, exponent
    for _ in range(np.dtype(c.dtype).itemsize * 8 - signed):
        odd = op.equal(op.bitwise_and(left, one), one)
        result = c.emit(op.where(odd, op.multiply(result, square), result))
        square = c.emit(op.multiply(square, square))
        left = c.emit(op.right_shift(left, one))
    if not signed:
        return result
    negative = op.less(exponent, zero)
    unit = op.logical_or(op.equal(x, one), op.equal(x, relax.const(-1, c.dtype)))
    return c.emit(op.where(op.logical_or(op.logical_not(negative), unit), result, zero))
