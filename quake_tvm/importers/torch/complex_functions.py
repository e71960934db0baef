"""Functions of complex numbers: sizes and angles, exponentials, logarithms, roots and powers.

Zeros and infinities give what C's functions give, which torch calls.
"""

import math
from collections.abc import Callable
from typing import Any

from tvm import relax

from .complex_values import Complex, lifted, of_complex, product, quotient, reciprocal
from .converter import CONVERTERS, Context, converts, dtype_of

op = relax.op
# Whole powers up to this one are products.
_MOST_FACTORS = 32


def _number(x: relax.Expr, value: float) -> relax.Expr:
    return relax.const(value, dtype_of(x))


def _is(c: Context, x: relax.Expr, value: float) -> relax.Expr:
    return c.emit(op.equal(x, _number(x, value)))


def _infinite(c: Context, x: relax.Expr) -> relax.Expr:
    return _is(c, c.emit(op.abs(x)), math.inf)


def _times(c: Context, z: Complex, factor: float) -> Complex:
    return Complex(*(c.emit(op.multiply(part, _number(part, factor))) for part in (z.real, z.imag)))


def _unit(c: Context, z: Complex) -> tuple[relax.Expr, Complex]:
    """The larger part's size, and the number divided by it: no square of that overflows."""
    size = c.emit(op.maximum(op.abs(z.real), op.abs(z.imag)))
    divisor = c.emit(op.where(_is(c, size, 0), _number(size, 1), size))
    return size, Complex(*(c.emit(op.divide(part, divisor)) for part in (z.real, z.imag)))


def _square(c: Context, z: Complex) -> relax.Expr:
    return c.emit(op.add(op.multiply(z.real, z.real), op.multiply(z.imag, z.imag)))


def _unless_infinite(c: Context, z: Complex, size: relax.Expr) -> relax.Expr:
    """The size, or infinity if a part is infinite, also beside NaN."""
    infinite = c.emit(op.logical_or(_infinite(c, z.real), _infinite(c, z.imag)))
    return c.emit(op.where(infinite, _number(size, math.inf), size))


@of_complex("abs.default")
def _abs(c: Context, self: Complex) -> relax.Expr:
    size, unit = _unit(c, self)
    return _unless_infinite(c, self, c.emit(op.multiply(size, op.sqrt(_square(c, unit)))))


@of_complex("linalg_vector_norm.default")
def _vector_norm(c: Context, self: Complex, **options: Any) -> relax.Expr:
    norm, _ = CONVERTERS["aten.linalg_vector_norm.default"]
    return norm(c, _abs(c, self), **options)


@of_complex("angle.default")
def _angle(c: Context, self: Complex) -> relax.Expr:
    return c.emit(op.atan2(self.imag, self.real))


@of_complex("sgn.default")
def _sgn(c: Context, self: Complex) -> Complex:
    size = _abs(c, self)
    divisor = c.emit(op.where(_is(c, size, 0), _number(size, 1), size))
    return Complex(*(c.emit(op.divide(part, divisor)) for part in (self.real, self.imag)))


@converts("polar.default")
def _polar(c: Context, abs: relax.Expr, angle: relax.Expr) -> Complex:
    return Complex(c.emit(op.multiply(abs, op.cos(angle))), c.emit(op.multiply(abs, op.sin(angle))))


@of_complex("exp.default")
def _exp(c: Context, self: Complex) -> Complex:
    """In two halves, of which the first does not overflow if the result is finite."""
    half = c.emit(op.exp(op.multiply(self.real, _number(self.real, 0.5))))
    none = _is(c, self.real, -math.inf)

    def part(wave: Callable[[relax.Expr], relax.Expr]) -> relax.Expr:
        found = _waved(c, half, _waved(c, half, wave(self.imag)))
        return c.emit(op.where(none, half, found))

    return Complex(part(op.cos), part(op.sin))


def _waved(c: Context, size: relax.Expr, wave: relax.Expr) -> relax.Expr:
    """The product, 0 if the wave is 0 and the size infinite."""
    wave = c.emit(wave)
    return c.emit(op.where(_is(c, wave, 0), wave, op.multiply(size, wave)))


@of_complex("exp2.default")
def _exp2(c: Context, self: Complex) -> Complex:
    return _exp(c, _times(c, self, math.log(2)))


@of_complex("log.default")
def _log(c: Context, self: Complex) -> Complex:
    """In float64, for accuracy near a size of 1."""
    wide = Complex(c.cast(self.real, "float64"), c.cast(self.imag, "float64"))
    size, unit = _unit(c, wide)
    half = op.multiply(op.log(_square(c, unit)), relax.const(0.5, "float64"))
    real = _unless_infinite(c, wide, c.emit(op.add(op.log(size), half)))
    return Complex(c.cast(real, dtype_of(self.real)), _angle(c, self))


@of_complex("log2.default")
def _log2(c: Context, self: Complex) -> Complex:
    return _times(c, _log(c, self), 1 / math.log(2))


@of_complex("log10.default")
def _log10(c: Context, self: Complex) -> Complex:
    return _times(c, _log(c, self), 1 / math.log(10))


@of_complex("sqrt.default")
def _sqrt(c: Context, self: Complex) -> Complex:
    """The root whose real part is not negative. The imaginary part keeps its sign, of zeros too."""
    size, unit = _unit(c, self)
    zero, infinity = _number(size, 0), _number(size, math.inf)
    root = op.add(op.sqrt(_square(c, unit)), op.abs(unit.real))
    larger = c.emit(op.sqrt(op.multiply(root, _number(size, 0.5))))
    divisor = c.emit(op.where(_is(c, larger, 0), _number(size, 1), larger))
    smaller = op.divide(op.multiply(op.abs(unit.imag), _number(size, 0.5)), divisor)
    larger, smaller = (c.emit(op.multiply(part, op.sqrt(size))) for part in (larger, smaller))
    level, upright = _infinite(c, self.real), _infinite(c, self.imag)
    larger = c.emit(op.where(op.logical_or(level, upright), infinity, larger))
    smaller = c.emit(op.where(level, op.multiply(self.imag, zero), smaller))
    smaller = c.emit(op.where(upright, infinity, smaller))
    left = c.emit(op.less(self.real, zero))
    real, imag = c.emit(op.where(left, smaller, larger)), c.emit(op.where(left, larger, smaller))
    sign = op.where(_is(c, self.imag, 0), op.divide(_number(size, 1), self.imag), self.imag)
    return Complex(real, c.emit(op.where(op.less(sign, zero), op.negative(imag), imag)))


@of_complex("rsqrt.default")
def _rsqrt(c: Context, self: Complex) -> Complex:
    return reciprocal(c, _sqrt(c, self))


@of_complex("pow.Tensor_Scalar")
def _pow_scalar(c: Context, self: Any, exponent: Any) -> Complex:
    base = lifted(c, self)
    if isinstance(exponent, complex) and not exponent.imag:
        exponent = exponent.real
    if isinstance(exponent, complex):
        return _power(c, base, lifted(c, exponent))
    if abs(exponent) == 0.5:
        root = _sqrt(c, base)
        return root if exponent > 0 else reciprocal(c, root)
    if exponent == int(exponent) and 0 < abs(exponent) <= _MOST_FACTORS:
        found = _whole_power(c, base, abs(int(exponent)))
        return found if exponent > 0 else reciprocal(c, found)
    return _power(c, base, lifted(c, exponent))


def _whole_power(c: Context, z: Complex, exponent: int) -> Complex:
    if exponent == 1:
        return z
    half = _whole_power(c, z, exponent // 2)
    even = product(c, half, half)
    return product(c, even, z) if exponent % 2 else even


@of_complex("pow.Tensor_Tensor", "pow.Scalar")
def _pow(c: Context, self: Any, exponent: Any) -> Complex:
    return _power(c, lifted(c, self), lifted(c, exponent))


def _power(c: Context, base: Complex, exponent: Complex) -> Complex:
    """exp(exponent log(base)); 1 for the exponent 0."""
    found = _exp(c, product(c, _log(c, base), exponent))
    none = c.emit(op.logical_and(_is(c, exponent.real, 0), _is(c, exponent.imag, 0)))
    return Complex(
        c.emit(op.where(none, _number(found.real, 1), found.real)),
        c.emit(op.where(none, _number(found.imag, 0), found.imag)),
    )


@of_complex("sinh.default")
def _sinh(c: Context, self: Complex) -> Complex:
    x, y = self.real, self.imag
    return Complex(
        _waved(c, c.emit(op.cos(y)), op.sinh(x)), _waved(c, c.emit(op.cosh(x)), op.sin(y))
    )


@of_complex("cosh.default")
def _cosh(c: Context, self: Complex) -> Complex:
    x, y = self.real, self.imag
    imag = _waved(c, _waved(c, c.emit(op.sinh(x)), op.sin(y)), _number(x, 1))
    return Complex(c.emit(op.multiply(op.cosh(x), op.cos(y))), imag)


@of_complex("tanh.default")
def _tanh(c: Context, self: Complex) -> Complex:
    x, y = c.emit(op.tanh(self.real)), c.emit(op.tan(self.imag))
    one = _number(x, 1)
    return quotient(c, Complex(x, y), Complex(one, c.emit(op.multiply(x, y))))


def _rotating(function: Callable[[Context, Complex], Complex], back: bool) -> Callable:
    """The function of i z, times -i if ``back``: the sine by the hyperbolic sine."""

    def of_circle(c: Context, self: Complex) -> Complex:
        turned = function(c, Complex(c.emit(op.negative(self.imag)), self.real))
        return Complex(turned.imag, c.emit(op.negative(turned.real))) if back else turned

    return of_circle


of_complex("sin.default")(_rotating(_sinh, True))
of_complex("cos.default")(_rotating(_cosh, False))
of_complex("tan.default")(_rotating(_tanh, True))


@of_complex("sigmoid.default")
def _sigmoid(c: Context, self: Complex) -> Complex:
    below = _exp(c, _times(c, self, -1))
    return reciprocal(c, Complex(c.emit(op.add(below.real, _number(below.real, 1))), below.imag))
