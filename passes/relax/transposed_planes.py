"""Transposed convolutions with few output channels: vectors hold the pixels of a row.

As in :mod:`plane_convolutions`, vectors of output channels would leave most of their lanes unused.
Each phase is a convolution of its own, and the sums have the order that they have with panels of
channels.
"""

import itertools
from collections.abc import Sequence

from tvm import te

from quake_tvm.numerics.number_formats import widen
from quake_tvm.tvm_version import tir

from .phases import Phases
from .plane_convolutions import in_rows


def transposed_planes(x: te.Tensor, w: te.Tensor, phases: Phases) -> te.Tensor:
    """All phases of a transposed convolution with few output channels: vectors hold pixels.

    Parameters
    ----------
    x : Tensor
        Of shape (n, pixels.., i).
    w : Tensor
        Of shape (phases.., taps.., i, o).
    phases : Phases

    Returns
    -------
    Tensor
        Of shape (n, (pixels, phase).., phase, o, pixels_in_a_row): without its last phase and
        pixels, two axes for each spatial dimension.
    """
    window = phases.window()
    length = x.shape[-2] + window.before[-1] + window.after[-1]
    rows = in_rows(x, window, True, length)
    taps, i = window.axes(), te.reduce_axis((0, w.shape[-2]), "i")

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *places, phase, o, along = rest
        each = [*places[1::2], phase]
        steps = zip(each, taps, phases.pads, phases.strides, window.before, strict=True)
        first = [(r + pad) // s - t + before for r, t, pad, s, before in steps]
        above = [q + at for q, at in zip(places[::2], first, strict=False)]
        pixel = rows(n, *above, i, 0, along + first[-1])
        return te.sum(widen(w(*each, *taps, i, o)) * pixel, [*taps, i])

    *above, row = phases.pixels(x.shape[1:-1])
    places = itertools.chain.from_iterable(zip(above, phases.strides, strict=False))
    shape = (x.shape[0], *places, phases.strides[-1], w.shape[-1], row)
    return te.compute(shape, element, name="transposed_planes")


def planes_interleaved(
    y: te.Tensor, sizes: Sequence[tir.Expr], strides: Sequence[int]
) -> te.Tensor:
    """The pixels in their order, (n, sizes.., o), from the result of :func:`transposed_planes`."""

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *places, o = rest
        *above, (along, phase) = [(at // s, at % s) for at, s in zip(places, strides, strict=True)]
        return y(n, *itertools.chain.from_iterable(above), phase, o, along)

    return te.compute((y.shape[0], *sizes, y.shape[-2]), element, name="interleaved")
