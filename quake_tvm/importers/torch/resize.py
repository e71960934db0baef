"""Resizing of images: nearest, linear, cubic, with and without antialiasing.

Along each spatial dimension an output element is a weighted sum of a few input elements. Indices
and weights follow from the sizes alone. They are computed here, in torch's arithmetic, and become
constants of one kernel for all modes. Where sizes are dynamic, :mod:`dynamic_taps` has formulas.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from . import dynamic_taps
from .converter import HALF, Context, converts, dims, dtype_of

# Input indices and weights of each output element along a dimension, both (out, taps).
Taps = tuple[np.ndarray, np.ndarray]
Rows = Taps | dynamic_taps.Taps
Mode = Callable[..., Any]
# The index of a missing tap, where an output element has fewer taps than others.
_NONE = -1


def _scale(size: int, out: int, factor: float | None, aligned: bool) -> np.float32:
    """Input elements per output element, in float32 as in torch."""
    if aligned:
        return np.float32((size - 1) / (out - 1)) if out > 1 else np.float32(0)
    return np.float32(1 / factor) if factor else np.float32(size / out)


def _centres(scale: np.float32, out: int, aligned: bool) -> np.ndarray:
    k = np.arange(out, dtype=np.float32)
    return scale * k if aligned else scale * (k + np.float32(0.5)) - np.float32(0.5)


def nearest(size: int, out: int, factor: float | None, exact: bool = False) -> Taps:
    """Each output element is the input element at its start, or with ``exact`` at its centre.

    torch ignores the factor if the size stays the same or doubles.
    """
    if not exact and out in (size, 2 * size):
        return np.arange(out)[:, None] * size // out, np.ones((out, 1), np.float32)
    scale = _scale(size, out, factor, False)
    k = np.arange(out, dtype=np.float32) + np.float32(0.5 if exact else 0)
    place = np.minimum(np.floor(k * scale).astype(np.int64), size - 1)
    return place[:, None], np.ones((out, 1), np.float32)


def linear(size: int, out: int, factor: float | None, aligned: bool) -> Taps:
    """Two neighbours weighted by distance. If the size stays, the weights are 1 and 0.

    ``factor`` and ``aligned`` are torch's scale_factor and align_corners, here and in
    :func:`cubic`.
    """
    if out == size:
        return np.repeat(np.arange(out)[:, None], 2, 1), np.array([[1, 0]] * out, np.float32)
    at = np.maximum(_centres(_scale(size, out, factor, aligned), out, aligned), 0)
    first = np.minimum(np.floor(at).astype(np.int64), size - 1)
    second = np.minimum(first + 1, size - 1)
    share = np.clip(at - first, 0, 1).astype(np.float32)
    return np.stack([first, second], 1), np.stack([1 - share, share], 1)


def cubic(size: int, out: int, factor: float | None, aligned: bool) -> Taps:
    """Four neighbours, weighted by the cubic kernel with a = -0.75 (Keys, 1981)."""
    at = _centres(_scale(size, out, factor, aligned), out, aligned)
    first = np.floor(at).astype(np.int64)
    share = (at - first).astype(np.float64)
    steps = np.arange(-1, 3)
    distance = np.abs(share[:, None] - steps)
    weights = _keys(distance, -0.75).astype(np.float32)
    return np.clip(first[:, None] + steps, 0, size - 1), weights


def _keys(x: np.ndarray, a: float) -> np.ndarray:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def antialiased(kernel: Callable, support: float, size: int, out: int, scale: np.float32) -> Taps:
    """All input elements under the kernel, which is stretched where the image shrinks.

    If the size stays the same, elements are copied, whatever the factor.

    Parameters
    ----------
    kernel : callable
        Distance to weight.
    support : float
        The kernel is 0 from this distance on.
    size, out : int
        Input and output elements.
    scale : numpy.float32
        Input elements per output element.
    """
    if out == size:
        return np.arange(out)[:, None], np.ones((out, 1), np.float32)
    stretch = np.maximum(scale, np.float32(1))
    reach = np.float32(support) * stretch
    count = math.ceil(reach) * 2 + 1
    places, weights = np.full((out, count), _NONE), np.zeros((out, count))
    for k in range(out):
        centre = scale * np.float32(k + 0.5)
        first = max(int(float(centre - reach) + 0.5), 0)
        last = min(int(float(centre + reach) + 0.5), size)
        n = np.arange(min(last - first, count))
        found = kernel(np.abs((n + first - float(centre) + 0.5) / float(stretch)))
        places[k, : len(n)] = first + n
        weights[k, : len(n)] = found / found.sum()
    return places, weights.astype(np.float32)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - x, 0)


def _resized(c: Context, x: relax.Expr, taps: list[Rows]) -> relax.Expr:
    """One kernel: the sum over the taps of all dimensions."""
    rank = len(taps)
    dtype = "float64" if dtype_of(x) == "float64" else "float32"
    places = [_constant(places, "int32") for places, _ in taps]
    missing = any(isinstance(p, np.ndarray) and (p == _NONE).any() for p, _ in taps)
    copies = all(dims(p)[1] == 1 for p in places)
    weights = [] if copies else [c.cast(_constant(w, dtype), dtype) for _, w in taps]

    def resize(
        x: te.Tensor, shape: list[Any], places: list[te.Tensor], weights: list[te.Tensor]
    ) -> te.Tensor:
        def element(*i: Any) -> Any:
            outer, inner = i[:-rank], i[-rank:]
            if copies:
                return x(*outer, *(p(k, 0) for p, k in zip(places, inner, strict=True)))
            return te.sum(_term(outer, inner), axis=axes)

        def _term(outer: Any, inner: Any) -> Any:
            at = [p(k, a.var) for p, k, a in zip(places, inner, axes, strict=True)]
            read = [tirx.max(place, 0) for place in at] if missing else at
            term = x(*outer, *read).astype(dtype)
            for w, k, a in zip(weights, inner, axes, strict=True):
                term = term * w(k, a.var)
            if missing:  # a weight of 0 is not enough: 0 times infinity is NaN
                there = tirx.all(*(place >= 0 for place in at))
                term = tirx.Select(there, term, tirx.const(0, dtype))
            return term

        axes = [te.reduce_axis((0, p.shape[1]), f"tap{k}") for k, p in enumerate(places)]
        return te.compute(shape, element, name="resize")

    result = c.kernel("resize", resize, x, list(c.shape), places, weights)
    return c.narrowed(result) if c.dtype in HALF else result


def _constant(table: np.ndarray | relax.Expr, dtype: str) -> relax.Expr:
    return relax.const(table.astype(dtype)) if isinstance(table, np.ndarray) else table


def _along(
    c: Context, x: relax.Expr, factors: Any, known: Mode, dynamic: Mode, *given: bool
) -> tuple[relax.Expr, list[Rows]]:
    """The tensor, which must have elements, and the taps of each of its spatial dimensions.

    Parameters
    ----------
    c : Context
    x : Expr
    factors : list of float or None
    known, dynamic : callable
        The mode's formula for sizes that are known, and for others.
    *given : bool
        Its further arguments.
    """
    found: list[Rows] = []
    for size, out, factor in _sizes(c, x, factors):
        if isinstance(size, int) and isinstance(out, int):
            found.append(known(size, out, factor, *given))
        else:
            found.append(dynamic(c.builder, size, out, factor, *given))
    within = [(1, n) for n in (*dims(x)[2:], *c.shape[2:])]
    return c.hold(x, within, "there is no element to take others from"), found


def _sizes(c: Context, x: relax.Expr, factors: Any) -> list[tuple[Any, Any, float | None]]:
    """Input size, output size and requested factor of each spatial dimension."""
    rank = len(c.shape) - 2
    before, after = dims(x)[2:], c.shape[2:]
    if 0 in (*before, *after):
        raise c.refuse("without elements")
    return list(zip(before, after, factors or [None] * rank, strict=True))


@converts(*(f"upsample_nearest{k}d.vec" for k in (1, 2, 3)))
def _nearest(c: Context, input: Any, output_size: Any, scale_factors: Any) -> Any:
    return _resized(c, *_along(c, input, scale_factors, nearest, dynamic_taps.nearest))


@converts(*(f"_upsample_nearest_exact{k}d.vec" for k in (1, 2, 3)))
def _nearest_exact(c: Context, input: Any, output_size: Any, scale_factors: Any) -> Any:
    return _resized(c, *_along(c, input, scale_factors, nearest, dynamic_taps.nearest, True))


@converts("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def _linear(
    c: Context,
    input: Any,
    output_size: Any,
    align_corners: bool,
    scale_factors: Any,
) -> Any:
    return _resized(c, *_along(c, input, scale_factors, linear, dynamic_taps.linear, align_corners))


@converts("upsample_bicubic2d.vec")
def _cubic(
    c: Context,
    input: Any,
    output_size: Any,
    align_corners: bool,
    scale_factors: Any,
) -> Any:
    return _resized(c, *_along(c, input, scale_factors, cubic, dynamic_taps.cubic, align_corners))


@converts("_upsample_bilinear2d_aa.vec", "_upsample_bicubic2d_aa.vec")
def _antialiased(
    c: Context,
    input: Any,
    output_size: Any,
    align_corners: bool,
    scale_factors: Any,
) -> Any:
    linearly = "bilinear" in str(c.node.target)
    kernel = _triangle if linearly else lambda x: _keys(x, -0.5)
    taps: list[Rows] = []
    for size, out, factor in _sizes(c, input, scale_factors):
        if not isinstance(size, int) or not isinstance(out, int):
            raise c.refuse("with dynamic sizes (antialias=False can be)")
        scale = _scale(size, out, factor, align_corners)
        taps.append(antialiased(kernel, 1.0 if linearly else 2.0, size, out, scale))
    return _resized(c, input, taps)
