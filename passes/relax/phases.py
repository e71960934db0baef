"""The phases of a transposed convolution, and its weights by phase.

With stride s, output pixel q*s + r reads only the taps that are congruent to r plus the padding
modulo s. So there are s phases in each dimension. Each is a convolution of stride 1 with every s-th
tap, and none multiplies inserted zeros. Knows no layout of the weights in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quake_tvm.tvm_version import tir

from .pack_convolutions import Window


@dataclass(frozen=True)
class Phases:
    """The phases of a transposed convolution. Each field has one entry for each spatial dimension.

    Attributes
    ----------
    taps : tuple of int
        Taps of one phase.
    strides : tuple of int
        The number of phases.
    pads : tuple of int
        Rows and columns that the transposed convolution drops in front.
    more : tuple of int
        How many more pixels one phase has than the input.
    """

    taps: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    more: tuple[int, ...]

    def window(self) -> Window:
        """A window whose padding keeps every tap of every phase inside the input."""
        before, after = [], []
        for t, s, pad, more in zip(self.taps, self.strides, self.pads, self.more, strict=True):
            before.append(max(0, t - 1 - pad // s))
            after.append(max(0, more + (s - 1 + pad) // s))
        ones = (1,) * len(self.taps)
        return Window(self.taps, ones, ones, tuple(before), tuple(after))

    def pixels(self, sizes: Sequence[tir.Expr]) -> list[tir.Expr]:
        """Output pixels of one phase for an input of these sizes."""
        return [n + more for n, more in zip(sizes, self.more, strict=True)]


def phase_weights(weights: np.ndarray, phases: Phases) -> np.ndarray:
    """Rearrange weights (i, window.., o) as (phases.., taps.., i, o)."""
    i, *size, o = weights.shape
    out = np.zeros((*phases.strides, *phases.taps, i, o), weights.dtype)
    for at in np.ndindex(*phases.strides, *phases.taps):
        phase, taps = at[: len(size)], at[len(size) :]
        steps = zip(phase, taps, phases.pads, phases.strides, strict=True)
        tap = [(r + pad) % s + s * t for r, t, pad, s in steps]
        if all(k < n for k, n in zip(tap, size, strict=True)):
            out[at] = weights[(slice(None), *tap)]
    return out
