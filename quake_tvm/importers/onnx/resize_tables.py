"""Source elements and weights of a resized axis whose lengths are known only at run time.

The formulas are those of :mod:`resampling`, computed by the model itself.
"""

from collections.abc import Sequence

import numpy as np
from tvm import relax, tirx

from ..computed_taps import Expr, computed_taps
from ..resampling import HALF, Method
from .extents import Extent, expression

_COORDINATES = {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"} | {
    "asymmetric", "align_corners", "tf_half_pixel_for_nn"
}  # fmt: skip


def knows(method: Method) -> bool:
    """Whether there are formulas here for the method."""
    whole = not method.antialias and not method.exclude_outside
    return whole and method.coordinates in _COORDINATES


def table(
    builder: relax.BlockBuilder,
    length: Extent,
    resized: Extent,
    scale: np.float32 | None,
    method: Method,
) -> tuple[relax.Expr, relax.Expr | None]:
    """Indices and weights, each of (resized, taps). The weights are None if elements are copied.

    Parameters
    ----------
    builder : BlockBuilder
    length, resized : Extent
        Elements before and after.
    scale : numpy.float32 or None
        The ratio; None if it follows from the lengths.
    method : Method
    """
    taps = {"nearest": 1, "linear": 2, "cubic": 4}[method.mode]

    def coordinate(o: tirx.Var, sizes: Sequence[Expr]) -> Expr:
        return _coordinate(o, sizes[0], sizes[1], scale, method.coordinates)

    def index(x: Expr, k: tirx.Var, sizes: Sequence[Expr]) -> Expr:
        if method.mode == "nearest":
            return _nearest(x, _ratio(sizes[0], sizes[1], scale), method.rounding)
        return tirx.floor(x) + _place(k, taps)

    def weight(x: Expr, k: tirx.Var) -> Expr:
        s = x - tirx.floor(x)
        if method.mode == "linear":
            return tirx.Select(k == 0, _float(1) - s, s)
        distance = tirx.abs(_double(s) - _double(_place(k, taps)))
        return tirx.Cast("float32", _cubic(distance, method.cubic_coeff_a))

    sizes = [expression(length), expression(resized)]
    formula = None if method.mode == "nearest" else weight
    return computed_taps(builder, sizes, taps, coordinate, index, formula)


def _place(tap: tirx.Var, taps: int) -> Expr:
    """How far a tap is from the element before the coordinate."""
    return tirx.Cast("float32", tap - (taps // 2 - 1))


def _float(value: float | np.float32) -> tirx.FloatImm:
    return tirx.const(float(value), "float32")


def _double(value: Expr | float) -> Expr:
    return tirx.const(value, "float64") if isinstance(value, float) else tirx.Cast("float64", value)


def _ratio(length: Expr, resized: Expr, scale: np.float32 | None) -> Expr:
    if scale is not None:
        return _float(scale)
    return tirx.Cast("float32", resized) / tirx.Cast("float32", length)


def _coordinate(
    o: tirx.Var,
    length: Expr,
    resized: Expr,
    scale: np.float32 | None,
    mode: str,
) -> Expr:
    """The position of an element of the resized axis on the original axis."""
    place, half = tirx.Cast("float32", o), _float(0.5)
    ratio = _ratio(length, resized, scale)
    if mode == "asymmetric":
        return place / ratio
    if mode == "tf_half_pixel_for_nn":
        return (place + half) / ratio
    if mode == "align_corners":
        last, steps = (tirx.Cast("float32", n - 1) for n in (length, resized))
        return tirx.Select(resized > 1, place * last / steps, _float(0))
    if mode == "half_pixel_symmetric":
        before, after = (tirx.Cast("float32", n) for n in (length, resized))
        offset = before / _float(2) * (_float(1) - after / (ratio * before))
        x = _double(offset) + (_double(o) + _double(0.5)) / _double(ratio) - _double(0.5)
        return tirx.Cast("float32", x)
    x = (place + half) / ratio - half
    if mode == "pytorch_half_pixel":
        return tirx.Select(resized > 1, x, _float(0))
    return x


def _nearest(x: Expr, ratio: Expr, rounding: str) -> Expr:
    """The index of the element nearest to a coordinate."""
    if rounding == "simple":
        return tirx.Select(ratio < _float(1), tirx.ceil(x), tirx.trunc(x))
    if rounding in ("floor", "ceil"):
        return getattr(tirx, rounding)(x)
    floor = tirx.floor(x)
    tie = tirx.abs(x - floor - _float(0.5)) < _float(HALF)
    up = floor + _float(1 if rounding == "round_prefer_ceil" else 0)
    wide = tirx.floor(_double(x) + _double(0.5))
    return tirx.Select(tie, up, tirx.Cast("float32", wide))


def _cubic(x: Expr, a: float) -> Expr:
    """The kernel of Keys (https://doi.org/10.1109/TASSP.1981.1163711) at a float64 distance."""
    near = (_double(a + 2) * x - _double(a + 3)) * x * x + _double(1.0)
    far = ((_double(a) * x - _double(5 * a)) * x + _double(8 * a)) * x - _double(4 * a)
    zero = _double(0.0)
    return tirx.Select(x <= _double(1.0), near, tirx.Select(x < _double(2.0), far, zero))
