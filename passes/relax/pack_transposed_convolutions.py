"""Transposed convolutions as small ordinary convolutions, one for each phase of the output.

With stride s, output pixel q*s + r reads only the taps that are congruent to r plus the padding
modulo s. So there are s phases in each dimension. Each is a convolution of stride 1 with every s-th
tap, and none multiplies inserted zeros. Weights are packed as (phases.., o/p, taps.., i, p), with a
zero where a phase has fewer taps.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels.bfloat16_products import pair_term
from quake_tvm.numerics.bfloat16_pairs import packed_rows
from quake_tvm.numerics.number_formats import COMPUTED, widen
from quake_tvm.schedules import analysis, product
from quake_tvm.schedules.product import panel_of, within_panel
from quake_tvm.tvm_version import Pass, tir

from .legalize import FUSABLE, legalize
from .pack_convolutions import Window, channels_last
from .pack_weights import Panel, Term, in_halves, panels, widened_term
from .plane_convolutions import few, in_rows
from .weights import computed_in_float32


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


def transposed_convolution(
    x: te.Tensor, w: te.Tensor, channels: int, phases: Phases, term: Term = widened_term
) -> te.Tensor:
    """All phases of a transposed convolution with packed weights.

    Parameters
    ----------
    x : Tensor
        Of shape (n, pixels.., i).
    w : Tensor
        Of shape (phases.., o/p, taps.., i, p).
    channels : int
        Output channels o.
    phases : Phases
    term : callable
        What is summed.

    Returns
    -------
    Tensor
        Of shape (n, (pixels, phase).., o): two axes for each spatial dimension.
    """
    window = phases.window()
    padded, width = window.padded(x), int(w.shape[-1])
    taps, i = window.axes(), te.reduce_axis((0, w.shape[-2]), "i")

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *places, o = rest
        steps = zip(
            places[::2], places[1::2], taps, phases.pads, phases.strides, window.before, strict=True
        )
        at = [q + (r + pad) // s - t + before for q, r, t, pad, s, before in steps]
        weight = w(*places[1::2], panel_of(o, width), *taps, i, within_panel(o, width, channels))
        return te.sum(term(lambda k: padded(n, *at, k), i, weight), [*taps, i])

    pixels = phases.pixels(x.shape[1:-1])
    places = itertools.chain.from_iterable(zip(pixels, phases.strides, strict=True))
    return te.compute((x.shape[0], *places, channels), element, name="transposed_convolution")


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
    """As :func:`interleaved`, of the result of :func:`transposed_planes`."""

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *places, o = rest
        *above, (along, phase) = [(at // s, at % s) for at, s in zip(places, strides, strict=True)]
        return y(n, *itertools.chain.from_iterable(above), phase, o, along)

    return te.compute((y.shape[0], *sizes, y.shape[-2]), element, name="interleaved")


def interleaved(y: te.Tensor, sizes: Sequence[tir.Expr], strides: Sequence[int]) -> te.Tensor:
    """The pixels of all phases in their order, (n, sizes.., o), without those that are too many.

    Only constants divide an index, which a reshape of symbolic extents does not ensure.
    """

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *places, o = rest
        each = ((at // s, at % s) for at, s in zip(places, strides, strict=True))
        return y(n, *itertools.chain.from_iterable(each), o)

    return te.compute((y.shape[0], *sizes, y.shape[-1]), element, name="interleaved")


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


@tvm.transform.module_pass(opt_level=0, name="PackTransposedConvolutions")
class PackTransposedConvolutions(Pass):
    """Rewrite every float32 transposed convolution with channels last and constant weights.

    Parameters
    ----------
    panel : callable
        As for :class:`PackWeights`. A tile's rows are innermost pixels.
    precision : str
        As for :class:`PackWeights`.
    lanes : int
        Floats in the target's vectors.
    """

    def __init__(self, panel: Panel, precision: str = COMPUTED, lanes: int = 0) -> None:
        self.panel, self.precision, self.lanes = panel, precision, lanes

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such convolutions. Nothing else is changed."""
        names = ("relax.nn.conv1d_transpose", "relax.nn.conv2d_transpose")
        return legalize(mod, dict.fromkeys(names, self._legalize))

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, weights = call.args
        plain = int(call.attrs.groups) == 1 and {*map(int, call.attrs.dilation)} == {1}
        if not (channels_last(call) and computed_in_float32(call) and plain):
            return call
        paired = weights.ty.dtype == self.precision == "bfloat16"
        values = weights.value.numpy()  # (i, window.., o)
        if paired:
            values = packed_rows(values)
        size, channels = values.shape[1:-1], values.shape[-1]
        rank, strides = len(size), tuple(map(int, call.attrs.strides))
        padding = [int(n) for n in call.attrs.padding]
        extra = [int(n) for n in call.attrs.output_padding]
        ends = zip(size, padding[:rank], padding[rank:], extra, strict=True)
        phases = Phases(
            tuple(-(-k // s) for k, s in zip(size, strides, strict=True)),
            strides,
            tuple(padding[:rank]),
            tuple(
                -((s - (k - before - after + e)) // s)
                for s, (k, before, after, e) in zip(strides, ends, strict=True)
            ),
        )
        batch, *sizes, _ = x.ty.shape
        pixels = phases.pixels(sizes)
        if few(channels, pixels[-1], self.lanes) and weights.ty.dtype != "bfloat16":
            each = relax.const(phase_weights(values, phases))
            made = builder.call_te(
                partial(transposed_planes, phases=phases),
                x,
                each,
                primfunc_name_hint="conv_transpose",
                primfunc_attrs=FUSABLE,
            )
            return _in_order(builder, planes_interleaved, made, call, strides)
        rows, depth = (batch, *pixels), (*phases.taps, values.shape[0])
        key = product.key(rows, channels, depth, strides, True, str(values.dtype))
        width = self.panel(key, analysis.constant(pixels[-1]))
        if width is None:
            return call
        packed = panels(phase_weights(values, phases), width)
        packed = np.ascontiguousarray(np.moveaxis(packed, 0, rank))
        result = builder.call_te(
            partial(
                transposed_convolution,
                channels=channels,
                phases=phases,
                term=pair_term if paired else widened_term,
            ),
            in_halves(builder, x) if paired else x,
            relax.const(packed),
            primfunc_name_hint="conv_transpose",
            primfunc_attrs=FUSABLE,
        )
        return _in_order(builder, interleaved, result, call, strides)


def _in_order(
    builder: relax.BlockBuilder,
    order: Callable[..., te.Tensor],
    phases: relax.Expr,
    call: relax.Call,
    strides: Sequence[int],
) -> relax.Expr:
    """The result of a transposed convolution from that of all its phases."""
    return builder.call_te(
        partial(order, strides=strides),
        builder.emit(phases),
        list(call.ty.shape)[1:-1],
        primfunc_name_hint="interleave",
    )
