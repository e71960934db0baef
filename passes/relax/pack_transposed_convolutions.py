"""Transposed convolutions as small ordinary convolutions, one for each phase of the output.

Weights are packed as (phases.., o/p, taps.., i, p), with a zero where a phase has fewer taps. With
few output channels they are not packed: see :mod:`transposed_planes`.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels.bfloat16_products import pair_term
from quake_tvm.numerics.bfloat16_pairs import packed_rows
from quake_tvm.numerics.number_formats import COMPUTED
from quake_tvm.schedules import analysis, product
from quake_tvm.schedules.product import panel_of, within_panel
from quake_tvm.tvm_version import Pass, tir

from .legalize import FUSABLE, legalize
from .pack_convolutions import channels_last
from .pack_weights import Panel, Term, in_halves, panels, widened_term
from .phases import Phases, phase_weights
from .plane_convolutions import few
from .transposed_planes import planes_interleaved, transposed_planes
from .weights import computed_in_float32


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


def interleaved(y: te.Tensor, sizes: Sequence[tir.Expr], strides: Sequence[int]) -> te.Tensor:
    """The pixels of all phases in their order, (n, sizes.., o), without those that are too many.

    Only constants divide an index, which a reshape of symbolic extents does not ensure.
    """

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *places, o = rest
        each = ((at // s, at % s) for at, s in zip(places, strides, strict=True))
        return y(n, *itertools.chain.from_iterable(each), o)

    return te.compute((y.shape[0], *sizes, y.shape[-1]), element, name="interleaved")


@tvm.transform.module_pass(opt_level=0, name="PackTransposedConvolutions")
class PackTransposedConvolutions(Pass):
    """Rewrite every float32 transposed convolution with channels last and constant weights.

    Parameters
    ----------
    panel : callable
        As for :class:`PackWeights`. A tile's rows are innermost pixels.
    lanes : int
        Floats in the target's vectors.
    precision : str
        As for :class:`PackWeights`.
    """

    def __init__(self, panel: Panel, lanes: int, precision: str = COMPUTED) -> None:
        self.panel, self.lanes, self.precision = panel, lanes, precision

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
        if few(channels, pixels[-1], str(weights.ty.dtype), self.lanes):
            each = relax.const(phase_weights(values, phases), str(values.dtype))
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
