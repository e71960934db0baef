"""Source elements and weights of the elements of a resized tensor, along one axis.

The formulas are those of Resize in the ONNX standard, in float32. Where the standard leaves a
choice, they follow ONNX Runtime: lengths are whole numbers, also where the scale does not divide.
Arrays in, arrays out: knows neither graphs nor TVM.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

F = np.float32
# A coordinate this close to a half counts as a half, as in ONNX Runtime.
HALF = F(1e-6)
# The largest period of a periodic table, and its largest step.
LONGEST_PERIOD = 64


@dataclass(frozen=True)
class Axis:
    """How an axis is resized.

    Parameters
    ----------
    length : int
        Elements before.
    resized : int
        Elements after.
    scale : numpy.float32
        The ratio; ``resized / length`` only if it was not given.
    roi : tuple of float
        Start and end of the region of interest, as fractions of the length; for
        ``tf_crop_and_resize``.
    """

    length: int
    resized: int
    scale: np.float32
    roi: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Method:
    """The attributes of Resize that apply to every axis."""

    mode: str  # nearest, linear, cubic
    coordinates: str  # half_pixel, asymmetric, ...
    # for mode nearest; "simple" is the rounding before opset 11
    rounding: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


@dataclass(frozen=True)
class Table:
    """Element ``o`` is the sum of ``weights[o, k] * x[indices[o, k]]`` over ``k``.

    Parameters
    ----------
    indices : numpy.ndarray
        (resized, taps), int32.
    weights : numpy.ndarray or None
        (resized, taps), float32; None if elements are copied.
    outside : numpy.ndarray
        (resized,), bool: the elements that get the extrapolation value.
    """

    indices: np.ndarray
    weights: np.ndarray | None
    outside: np.ndarray


def coordinates(axis: Axis, mode: str) -> np.ndarray:
    """Positions of the resized axis's elements on the original axis; (resized,), float32."""
    o = np.arange(axis.resized, dtype=F)
    half, length, resized = F(0.5), F(axis.length), F(axis.resized)
    if axis.scale == 1:
        return o
    if mode == "asymmetric":
        return o / axis.scale
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and axis.resized > 1):
        return (o + half) / axis.scale - half
    if mode == "tf_half_pixel_for_nn":
        return (o + half) / axis.scale
    if mode == "half_pixel_symmetric":
        offset = length / 2 * (1 - resized / (axis.scale * length))
        return (np.float64(offset) + (o.astype(np.float64) + 0.5) / axis.scale - 0.5).astype(F)
    if mode == "tf_crop_and_resize":
        start, end = map(F, axis.roi)
        if axis.resized == 1:
            return np.array([0.5 * (start + end) * (length - 1)], F)
        return start * (length - 1) + o * (end - start) * (length - 1) / (resized - 1)
    if mode == "align_corners" and axis.resized > 1:
        return o * (length - 1) / (resized - 1)
    return np.zeros(axis.resized, F)  # one element, with pytorch_half_pixel or align_corners


def table(axis: Axis, method: Method) -> Table:
    """The source elements and weights of a resized axis."""
    x = coordinates(axis, method.coordinates)
    last = axis.length - 1
    outside = (x < 0) | (x > last) if method.coordinates == "tf_crop_and_resize" else x != x
    indices, weights = (
        _antialiased(x, axis, method)
        if method.antialias
        else _plain(x, bool(axis.scale < 1), last, method)
    )
    return Table(np.clip(indices, 0, last).astype(np.int32), weights, outside)


@dataclass(frozen=True)
class Periodic:
    """A table for any length; the resized axis has ``length * period // step`` elements.

    Element ``o`` reads element ``o // period * step + indices[o % period]``, clamped to the first
    and the last element.
    """

    period: int
    step: int
    indices: np.ndarray
    weights: np.ndarray | None


def periodic(scale: np.float32, method: Method) -> Periodic | None:
    """The table for an unknown length; None if the scale or the method allows none.

    It has the bits of :func:`table`. Weights that a division rounds differ from period to period,
    so that only periods that are powers of two have weights.
    """
    ratio = Fraction(float(scale))
    period, step = ratio.numerator, ratio.denominator
    # These modes equal half_pixel, except where one element is left or the scale does not divide.
    alike = {"pytorch_half_pixel": ratio >= 2, "half_pixel_symmetric": step == 1}
    if alike.get(method.coordinates):
        method = replace(method, coordinates="half_pixel")
    if (
        max(period, step) > LONGEST_PERIOD
        or (method.mode != "nearest" and period & (period - 1))
        or method.exclude_outside
        or method.antialias
        or method.coordinates not in ("half_pixel", "asymmetric", "tf_half_pixel_for_nn")
    ):
        return None
    x = coordinates(Axis(step, period, scale), method.coordinates)
    return Periodic(period, step, *_plain(x, bool(scale < 1), None, method))


def nearest(x: np.ndarray, rounding: str, downsampled: bool) -> np.ndarray:
    """The index of the element nearest to each coordinate."""
    if rounding == "simple":
        return np.ceil(x) if downsampled else np.trunc(x)
    if rounding in ("floor", "ceil"):
        return getattr(np, rounding)(x)
    floor = np.floor(x)
    tie = np.abs(x - floor - F(0.5)) < HALF
    up = 1 if rounding == "round_prefer_ceil" else 0
    return np.where(tie, floor + up, np.floor(x + np.float64(0.5)))


def _plain(
    x: np.ndarray, downsampled: bool, last: int | None, method: Method
) -> tuple[np.ndarray, np.ndarray | None]:
    """Indices and weights without antialiasing. Indices may lie outside of the axis."""
    if method.mode == "nearest":
        return nearest(x, method.rounding, downsampled)[:, None].astype(np.int64), None
    floor = np.floor(x)
    s = (x - floor)[:, None]
    if method.mode == "linear":
        return floor.astype(np.int64)[:, None] + np.arange(2), np.hstack([1 - s, s])
    indices = floor.astype(np.int64)[:, None] + np.arange(-1, 3)
    weights = _cubic(np.abs(s - np.arange(-1, 3)), method.cubic_coeff_a)
    if method.exclude_outside:
        weights = np.where((indices < 0) | (indices > last), 0, weights)
        total = weights.sum(1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
        return _without_zeros(indices, weights.astype(F))
    return indices, weights.astype(F)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """The kernel of Keys (https://doi.org/10.1109/TASSP.1981.1163711) at distances ``x``."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _antialiased(x: np.ndarray, axis: Axis, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights of a kernel stretched over all elements that a resized element covers."""
    radius = 2 if method.mode == "cubic" else 1
    stretch = max(1.0, 1 / float(axis.scale))
    support = radius * stretch
    x = x.astype(np.float64)[:, None]
    first = np.floor(x - support + 1)
    taps = int(np.ceil(support)) * 2 + 1
    indices = (first + np.arange(taps)).astype(np.int64)
    distance = np.abs(indices - x) / stretch
    if method.mode == "cubic":
        weights = _cubic(distance, method.cubic_coeff_a)
    else:
        weights = np.maximum(1 - distance, 0)
    if method.exclude_outside:
        weights = np.where((indices < 0) | (indices >= axis.length), 0, weights)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    return _without_zeros(indices, weights.astype(F))


def _without_zeros(indices: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace taps of weight 0 by half of the heaviest tap: 0 times an infinity would be NaN."""
    used = (weights != 0).any(0)
    indices, weights = indices[:, used], weights[:, used]
    rows = np.arange(len(weights))
    for k in range(weights.shape[1]):
        heaviest = np.abs(weights).argmax(1)
        zero = weights[:, k] == 0
        indices[:, k] = np.where(zero, indices[rows, heaviest], indices[:, k])
        half = np.where(zero, weights[rows, heaviest] / 2, 0)
        weights[rows, heaviest] -= half
        weights[:, k] += half
    return indices, weights
