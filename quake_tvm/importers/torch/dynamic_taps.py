"""Source elements and weights of resized dimensions whose sizes only the run knows.

The formulas are those of :mod:`resize`, with the same roundings. Products that would need one are
exact in float64, so that no fused multiply-add changes them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import relax, tirx

from ..computed_taps import Expr, computed_taps

Sizes = Sequence[Expr]
# Input indices and weights of each output element along a dimension, both (out, taps).
Taps = tuple[relax.Expr, relax.Expr | None]


def nearest(
    builder: relax.BlockBuilder, size: Any, out: Any, factor: float | None, exact: bool = False
) -> Taps:
    """As :func:`resize.nearest`; elements are copied."""

    def coordinate(k: tirx.Var, sizes: Sizes) -> Expr:
        scale = _scale(sizes, factor, False)
        place = _rounded(_wide(scale) * (_wide(k) + (0.5 if exact else 0.0)))
        if exact:
            return place
        before, after = sizes
        doubled = tirx.Select(after == 2 * before, tirx.floordiv(k, 2), k)
        plain = tirx.any(after == before, after == 2 * before)
        return tirx.Select(plain, tirx.Cast("float32", doubled), place)

    def index(x: Expr, _: tirx.Var, __: Sizes) -> Expr:
        return tirx.floor(x)

    return computed_taps(builder, _sizes(size, out), 1, coordinate, index, None)


def linear(
    builder: relax.BlockBuilder, size: Any, out: Any, factor: float | None, aligned: bool
) -> Taps:
    """As :func:`resize.linear`."""

    def coordinate(k: tirx.Var, sizes: Sizes) -> Expr:
        at = tirx.max(tirx.const(0.0, "float32"), _centre(k, sizes, factor, aligned))
        at = tirx.min(at, tirx.Cast("float32", sizes[0]))
        return tirx.Select(sizes[0] == sizes[1], tirx.Cast("float32", k), at)

    def weight(x: Expr, k: tirx.Var) -> Expr:
        share = x - tirx.floor(x)
        return tirx.Select(k == 0, tirx.const(1.0, "float32") - share, share)

    return computed_taps(builder, _sizes(size, out), 2, coordinate, partial(_tap, 0), weight)


def cubic(
    builder: relax.BlockBuilder, size: Any, out: Any, factor: float | None, aligned: bool
) -> Taps:
    """As :func:`resize.cubic`."""

    def weight(x: Expr, k: tirx.Var) -> Expr:
        distance = tirx.abs(_wide(x) - _wide(tirx.floor(x)) - (_wide(k) - 1.0))
        return _rounded(_keys(distance, -0.75))

    coordinate = partial(_centre, factor=factor, aligned=aligned)
    return computed_taps(builder, _sizes(size, out), 4, coordinate, partial(_tap, -1), weight)


def _keys(x: Expr, a: float) -> Expr:
    near = _fenced(_fenced(_fenced((a + 2) * x) - (a + 3)) * x * x) + 1.0
    far = _fenced((_fenced((_fenced(a * x) - 5 * a) * x) + 8 * a) * x) - 4 * a
    return tirx.Select(x < 1.0, near, tirx.Select(x < 2.0, far, tirx.const(0.0, "float64")))


def _fenced(x: Expr) -> Expr:
    """The number, rounded before anything is added to it."""
    return tirx.call_llvm_pure_intrin("float64", "llvm.arithmetic.fence", x)


def _tap(first: int, x: Expr, k: tirx.Var, _: Sizes) -> Expr:
    return tirx.floor(x) + tirx.Cast("float32", k + first)


def _scale(sizes: Sizes, factor: float | None, aligned: bool) -> Expr:
    """Input elements per output element, in float32."""
    before, after = sizes
    if aligned:
        ratio = tirx.Cast("float32", before - 1) / tirx.Cast("float32", tirx.max(after - 1, 1))
        return tirx.Select(after > 1, ratio, tirx.const(0.0, "float32"))
    if factor:
        return tirx.const(float(np.float32(1 / factor)), "float32")
    return tirx.Cast("float32", before) / tirx.Cast("float32", after)


def _centre(k: tirx.Var, sizes: Sizes, factor: float | None, aligned: bool) -> Expr:
    scale = _wide(_scale(sizes, factor, aligned))
    if aligned:
        return _rounded(scale * _wide(k))
    return _rounded(scale * (_wide(k) + 0.5)) - tirx.const(0.5, "float32")


def _wide(x: Expr) -> Expr:
    return tirx.Cast("float64", x)


def _rounded(x: Expr) -> Expr:
    return tirx.Cast("float32", x)


def _sizes(*sizes: Any) -> list[Expr]:
    return [tirx.const(0, "int64") + size for size in sizes]
