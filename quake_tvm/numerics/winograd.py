"""Winograd's F(2x2, 3x3): four sums of nine products each from sixteen products.

In one dimension two results of a filter g of three taps over four inputs d are::

    m0 = (d0 - d2) g0                   y0 = m0 + m1 + m2
    m1 = (d1 + d2) (g0 + g1 + g2) / 2   y1 = m1 - m2 - m3
    m2 = (d2 - d1) (g0 - g1 + g2) / 2
    m3 = (d1 - d3) g2

In two dimensions this is done along both axes, and the products are summed over the channels. A
result reads the inputs of its own window only, as in the direct sum: y0 does not depend on d3, nor
y1 on d0. So a NaN makes the same results NaN, and a large input spoils no result that does not read
it. An infinite input makes NaN, or the right infinity, of the results that read it.

**Error.** Weights are transformed in float64 and rounded once. An input takes 2 additions, a sum of
c channels c multiply-adds, a result 4 additions. So with u = 2**-24 and k = c + ``ROUNDINGS``, the
error of a result is at most ku / (1 - ku) times what its formula gives with absolute values. In one
dimension that is |g0| (|d0| + |d2|) + (|d1| + |d2|) (|g0| + |g1| + |g2|) for y0, at most 4 max |d|
sum |g|; y1 is alike. So in two dimensions it is at most ``AMPLIFICATION`` max |x| sum |w|, where
the maximum is over the window and the sum over taps and channels. The direct sum's bound has 9c
instead of k, and 1 instead of 16: with 16 or more channels this bound is at most 2.6 times that
one. Measured errors are smaller than the direct sum's, because the sums are a ninth as long.

Where the factors are rounded to a narrower format, each by at most r of itself, the products of the
formula grow by (1 + r)**2 at most. So the error is at most (1 + r)**2 (1 + ku / (1 - ku)) - 1 times
what the formula gives with absolute values, if no factor is a subnormal number.

This holds while nothing overflows: as long as 4 max |x|, the factors of the weights and
``AMPLIFICATION`` max |x| sum |w| are finite.

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.1;
for the error B. Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution
for Deep Neural Networks" (2018).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from .bfloat16_pairs import packed_rows

# Products of a tile along one axis, and results.
PRODUCTS, RESULTS = 4, 2
# Roundings of a result besides those of the sum over channels: 2 of inputs, 1 of weights, 4 of
# results.
ROUNDINGS, AMPLIFICATION = 7, 16

# Anything that can be added and subtracted.
Number = TypeVar("Number")


def inputs(d: Sequence[Number]) -> list[Number]:
    """The left factors of the products, from four inputs along one axis."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]  # type: ignore[operator]


def results(m: Sequence[Number]) -> list[Number]:
    """Two results along one axis, from four products."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]  # type: ignore[operator]


def both(
    step: Callable[[Sequence[Number]], list[Number]], square: Sequence[Sequence[Number]]
) -> list[list[Number]]:
    """A step along both axes of a square: first down its columns, then along its rows."""
    down = zip(*(step(column) for column in zip(*square, strict=True)), strict=True)
    return [step(row) for row in down]


def weights(w: np.ndarray) -> np.ndarray:
    """The right factors of the products.

    Parameters
    ----------
    w : ndarray
        Of shape (o, 3, 3, i).

    Returns
    -------
    ndarray
        float32 of shape (16, i, o). Not finite where a factor leaves float32.
    """

    def step(g: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]]

    taps = np.moveaxis(w.astype(np.float64), 0, -1)  # (3, 3, i, o)
    with np.errstate(over="ignore", invalid="ignore"):
        square = both(step, [list(row) for row in taps])
        return np.stack([factor for row in square for factor in row]).astype(np.float32)


def paired(factors: np.ndarray) -> np.ndarray:
    """The right factors of two channels as pairs of bfloat16 numbers.

    Parameters
    ----------
    factors : ndarray
        As :func:`weights` gives them, of shape (16, i, o), for an even number of channels.

    Returns
    -------
    ndarray
        int32 of shape (16, i/2, o).
    """
    return np.moveaxis(packed_rows(np.moveaxis(factors, 1, 0)), 0, 1)


def bound(most: float, w: np.ndarray, rounding: float = 0.0) -> np.ndarray:
    """The largest error of a result.

    Parameters
    ----------
    most : float
        The largest absolute value of an input.
    w : ndarray
        The weights, of shape (o, 3, 3, i).
    rounding : float
        The largest relative rounding of a factor to its format; 0 for float32.

    Returns
    -------
    ndarray
        float64 of shape (o,).
    """
    roundings = (w.shape[-1] + ROUNDINGS) * 2.0**-24
    total = np.abs(w.astype(np.float64)).sum((1, 2, 3))
    relative = (1 + rounding) ** 2 * (1 + roundings / (1 - roundings)) - 1
    return relative * AMPLIFICATION * most * total
