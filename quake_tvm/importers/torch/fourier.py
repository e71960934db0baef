"""Fourier transforms as products with constant matrices.

A transform of n1 * n2 elements consists of transforms of n1 and of n2 elements, with factors in
between (Cooley and Tukey), so its cost is n (n1 + n2).
"""

import math
from typing import Any

import numpy as np
from tvm import relax

from .complex_values import Complex, of_complex, product
from .converter import Context, axis_of, converts, dims, dtype_of

op = relax.op
# Transforms of at most this many elements are one product.
_SMALL = 64


def _roots(first: int, second: int, n: int, sign: int, dtype: str) -> Complex:
    """The n-th roots of unity to the powers j * k, as a matrix of first x second."""
    powers = np.outer(np.arange(first), np.arange(second)) % n
    angle = sign * 2 * np.pi * powers / n
    return Complex(relax.const(np.cos(angle), dtype), relax.const(np.sin(angle), dtype))


def _divisor(n: int) -> int:
    """The largest divisor up to the root of n; 1 for small n, which is not divided."""
    if n <= _SMALL:
        return 1
    return next(k for k in range(math.isqrt(n), 0, -1) if n % k == 0)


def _times(c: Context, x: Complex, y: Complex, real: bool) -> Complex:
    """The matrix product, of x without an imaginary part if ``real``."""
    if real:
        return Complex(c.emit(op.matmul(x.real, y.real)), c.emit(op.matmul(x.real, y.imag)))
    return product(c, x, y, op.matmul)


def _last(c: Context, x: Complex, sign: int, real: bool = False) -> Complex:
    """The transform along the last axis, not normalized."""
    *outer, n = dims(x.real)
    dtype = dtype_of(x.real)
    first = _divisor(n)
    if first == 1:
        return _times(c, x, _roots(n, n, n, sign, dtype), real)
    second = n // first

    def shaped(x: Complex, shape: list[Any], swapped: bool) -> Complex:
        parts = [c.emit(op.reshape(part, shape)) for part in (x.real, x.imag)]
        axes = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        return Complex(*(c.emit(op.permute_dims(p, axes)) if swapped else p for p in parts))

    x = shaped(x, [*outer, first, second], True)
    x = _times(c, x, _roots(first, first, first, sign, dtype), real)
    x = product(c, x, _roots(second, first, n, sign, dtype))
    x = shaped(x, [*outer, second, first], True)
    x = _last(c, x, sign)
    x = shaped(x, [*outer, first, second], True)
    return shaped(x, [*outer, n], False)


def _along(c: Context, x: Complex, axis: int, sign: int, real: bool = False) -> Complex:
    rank = len(dims(x.real))
    if axis == rank - 1:
        return _last(c, x, sign, real)
    axes = [k for k in range(rank) if k != axis] + [axis]
    back = sorted(range(rank), key=axes.__getitem__)

    def moved(x: Complex, order: list[int]) -> Complex:
        return Complex(*(c.emit(op.permute_dims(part, order)) for part in (x.real, x.imag)))

    return moved(_last(c, moved(x, axes), sign, real), back)


def _axes(c: Context, x: relax.Expr, dim: list[int]) -> list[int]:
    axes = [axis_of(d, len(dims(x))) for d in dim]
    if not all(isinstance(n, int) and n for n in dims(x)):
        raise c.refuse("of dynamic sizes or of no elements")
    return axes


def _scaled(c: Context, part: relax.Expr, count: int, normalization: int) -> relax.Expr:
    """Normalized by 1, by the root of the count or by the count."""
    factor = (1.0, 1 / math.sqrt(count), 1 / count)[normalization]
    return part if factor == 1 else c.emit(op.multiply(part, relax.const(factor, c.dtype)))


def _normalized(c: Context, x: Complex, count: int, normalization: int) -> Complex:
    return Complex(*(_scaled(c, part, count, normalization) for part in (x.real, x.imag)))


@of_complex("_fft_c2c.default")
def _c2c(c: Context, self: Complex, dim: list[int], normalization: int, forward: bool) -> Complex:
    axes = _axes(c, self.real, dim)
    count = math.prod(dims(self.real)[axis] for axis in axes)
    for axis in axes:
        self = _along(c, self, axis, -1 if forward else 1)
    return _normalized(c, self, count, normalization)


@converts("_fft_r2c.default")
def _r2c(
    c: Context, self: relax.Expr, dim: list[int], normalization: int, onesided: bool
) -> Complex:
    axes = _axes(c, self, dim)
    count = math.prod(dims(self)[axis] for axis in axes)
    x = _along(c, Complex(self, self), axes[-1], -1, real=True)
    if onesided:
        half = dims(self)[axes[-1]] // 2 + 1
        cut = lambda part: c.emit(op.strided_slice(part, [axes[-1]], [0], [half]))  # noqa: E731
        x = Complex(cut(x.real), cut(x.imag))
    for axis in axes[:-1]:
        x = _along(c, x, axis, -1)
    return _normalized(c, x, count, normalization)


@of_complex("_fft_c2r.default")
def _c2r(
    c: Context, self: Complex, dim: list[int], normalization: int, last_dim_size: int
) -> relax.Expr:
    """From the first half of a spectrum, whose other half is its conjugate."""
    axes = _axes(c, self.real, dim)
    *others, last = axes
    n, half = last_dim_size, last_dim_size // 2 + 1
    if dims(self.real)[last] != half:
        raise c.refuse("of a spectrum that is not half as long as the result")
    count = n * math.prod(dims(self.real)[axis] for axis in others)
    for axis in others:
        self = _along(c, self, axis, 1)
    # Each element stands for itself and its conjugate, but the first and the middle one.
    weights = np.array([1 if 2 * k in (0, n) else 2 for k in range(half)])
    angle = 2 * np.pi * (np.outer(np.arange(half), np.arange(n)) % n) / n
    rank = len(dims(self.real))
    axes = [k for k in range(rank) if k != last] + [last]
    back = sorted(range(rank), key=axes.__getitem__)

    def half_product(part: relax.Expr, matrix: np.ndarray) -> relax.Expr:
        moved = c.emit(op.permute_dims(part, axes))
        return c.emit(op.matmul(moved, relax.const(weights[:, None] * matrix, c.dtype)))

    result = op.subtract(
        half_product(self.real, np.cos(angle)), half_product(self.imag, np.sin(angle))
    )
    return _scaled(c, c.emit(op.permute_dims(c.emit(result), back)), count, normalization)
