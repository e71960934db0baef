"""Depthwise convolutions of bytes as tensor computations.

Four neighbouring taps of a window's row become one group for the target's dot product: a step
for each group, and not for each tap. A group of pixels serves all rows of the window, and all
windows that it lies in. A target without such an instruction sums windows of up to ``EXACT`` taps
in float32, which has these sums exactly. Knows no graph and no target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from tvm import te

from ..numerics.byte_dots import Format
from ..numerics.byte_interleave import interleaved
from ..tvm_version import tir

GROUP = 4
# float32 has every sum of so many products of two bytes.
EXACT = 2**24 // (255 * 128)


@dataclass(frozen=True)
class Grouped:
    """How groups of the innermost pixels lie in memory, and where a window finds them.

    Attributes
    ----------
    taps : int
        Taps of a row of the window.
    stride, dilation : int
        Of the window, along its rows.
    """

    taps: int
    stride: int
    dilation: int

    @property
    def count(self) -> int:
        """Groups in a row of the window."""
        return -(-self.taps // GROUP)

    @property
    def more(self) -> int:
        """Pixels behind the last one that a window reads which are in its groups, with weight 0."""
        return (self.count * GROUP - self.taps) * self.dilation

    @property
    def step(self) -> int:
        """Pixels between the beginnings of neighbouring groups in memory."""
        return gcd(self.stride, GROUP * self.dilation) if self.count > 1 else self.stride

    @property
    def of_pixel(self) -> int:
        """Groups in memory from a result's first group to that of the next result."""
        return self.stride // self.step

    @property
    def of_group(self) -> int:
        """Groups in memory from a window's group to its next one."""
        return GROUP * self.dilation // self.step if self.count > 1 else 0

    def length(self, pixels: tir.Expr) -> tir.Expr:
        """Groups in memory for a row of so many results."""
        return (pixels - 1) * self.of_pixel + (self.count - 1) * self.of_group + 1


def packed(form: Format, weights: np.ndarray) -> np.ndarray:
    """Weights in groups of taps.

    Parameters
    ----------
    form : Format
        Of groups of four.
    weights : np.ndarray
        int8, of shape (window.., c).

    Returns
    -------
    np.ndarray
        int32, of shape (window.., groups, c): the last axis of the window in groups.
    """
    rows = form.grouped_rows(np.moveaxis(weights, -2, 0))  # (groups, window.., c)
    return np.ascontiguousarray(np.moveaxis(rows, 0, -2))


def of_groups(
    padded: te.Tensor,
    w: te.Tensor,
    pixels: Sequence[tir.Expr],
    strides: Sequence[int],
    dilation: Sequence[int],
    row: Grouped,
    form: Format,
) -> te.Tensor:
    """A convolution of each channel with its own window.

    Parameters
    ----------
    padded : Tensor
        int8 or uint8, of shape (n, places.., c), with all pixels that ``row`` reads.
    w : Tensor
        From :func:`packed`.
    pixels : sequence of Expr
        Spatial extents of the result.
    strides, dilation : sequence of int
        Of the window, for each spatial dimension.
    row : Grouped
    form : Format

    Returns
    -------
    Tensor
        int32, of shape (n, pixels.., c). Bytes of the other type count as those of ``form``, and so
        are larger or smaller by 128.
    """
    flip = tir.const(form.group_of(-128 if form.left == "int8" else 128), "int32")
    shifts = bool(form.shift(padded.dtype))

    def group(*i: tir.Expr) -> tir.Expr:
        *outer, q, c = i
        first = q * row.step
        four = interleaved([padded(*outer, first + k * row.dilation, c) for k in range(GROUP)])
        return four ^ flip if shifts else four

    shape = (*padded.shape[:-2], row.length(pixels[-1]), padded.shape[-1])
    groups = te.compute(shape, group, name="groups")
    taps = [te.reduce_axis((0, n), f"tap{k}") for k, n in enumerate(w.shape[:-1])]

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *outer, x, c = rest
        steps = zip(outer, taps, strides, dilation, strict=False)
        at = [p * s + t * d for p, t, s, d in steps]
        at.append(x * row.of_pixel + taps[-1] * row.of_group)
        return te.sum(form.dot(tir.const(0, "int32"), groups(n, *at, c), w(*taps, c)), taps)

    result = (padded.shape[0], *pixels, padded.shape[-1])
    return te.compute(result, element, name="depthwise_convolution")
