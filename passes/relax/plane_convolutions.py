"""Convolutions whose result has channels first: vectors hold the pixels of a row.

With channels last, vectors hold output channels. A convolution with few output channels, such as a
mask or an image at a network's end, would leave most of their lanes unused. Convolutions whose
weights are not constant have channels first as well, since they are not packed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import tvm
from tvm import relax, te

from quake_tvm.numerics.number_formats import widen
from quake_tvm.schedules import analysis
from quake_tvm.tvm_version import Pass, tir

from .convolutions import CONVOLUTIONS
from .graph import op_name
from .legalize import FUSABLE, legalize
from .pack_convolutions import Window
from .weights import computed_in_float32

# With so many output channels, vectors of channels are as fast on every target.
ENOUGH_CHANNELS = 8
# Shorter rows of pixels do not fill vectors either.
SHORT_ROW = 16
_FIRST = {"NCW", "NCHW", "NCDHW"}


def takes(call: relax.Call) -> bool:
    """Whether :class:`PlaneConvolutions` takes a convolution."""
    given = call.attrs
    return (
        op_name(call) in CONVOLUTIONS
        and str(given.out_layout) in _FIRST
        and int(given.groups) == 1
        and computed_in_float32(call)
        and None not in map(analysis.constant, call.args[1].ty.shape)
    )


def few_channels(call: relax.Call, lanes: int) -> bool:
    """Whether vectors of pixels suit a convolution better than vectors of output channels.

    Parameters
    ----------
    call : Call
        A convolution.
    lanes : int
        Floats in the target's vectors.

    Returns
    -------
    bool
        False if each pixel is read only once: to bring them in order takes longer than the
        convolution.
    """
    if not takes(call):
        return False
    weights = call.args[1].ty
    fits = few(int(weights.shape[0]), call.ty.shape[-1], str(weights.dtype), lanes)
    return fits and {*Window.of(call).size} != {1}


def few(channels: int, row: tir.Expr, dtype: str, lanes: int) -> bool:
    """Whether so many channels leave lanes of vectors unused that the pixels of a row would use.

    False for weights in bfloat16, since their products have instructions of their own.
    """
    pixels = analysis.constant(row)
    long = pixels is None or pixels >= SHORT_ROW
    return dtype != "bfloat16" and channels < min(lanes, ENOUGH_CHANNELS) and long


@dataclass(frozen=True)
class Last:
    """Which operands have channels last: the input, the weights."""

    input: bool
    weights: bool


def plane_convolution(
    x: te.Tensor, w: te.Tensor, shape: Sequence[tir.Expr], window: Window, last: Last
) -> te.Tensor:
    """A convolution whose result has channels first.

    First the rows of all input channels are copied side by side. A row that the window walks in
    steps of s is copied as s rows, so that the pixels of a vector are neighbours. The order of
    summation is the same as with channels last.

    Parameters
    ----------
    x : Tensor
        Of shape (n, i, places..), or (n, places.., i) with channels last.
    w : Tensor
        Of shape (o, i, window..), or (o, window.., i) with channels last.
    shape : sequence of Expr
        That of the result, (n, o, pixels..).
    window : Window
    last : Last
    """
    inputs = w.shape[-1 if last.weights else 1]
    step, reach = window.strides[-1], (window.size[-1] - 1) * window.dilation[-1]
    rows = in_rows(x, window, last.input, shape[-1] + reach // step)
    i, taps = te.reduce_axis((0, inputs), "i"), window.axes()

    def element(n: tir.Expr, o: tir.Expr, *pixel: tir.Expr) -> tir.Expr:
        *outer, _ = window.at(pixel, taps)
        phase, first = (
            each(taps[-1] * window.dilation[-1], step) for each in (tir.floormod, tir.floordiv)
        )
        weight = w(o, *taps, i) if last.weights else w(o, i, *taps)
        return te.sum(widen(weight) * rows(n, *outer, i, phase, pixel[-1] + first), [*taps, i])

    return te.compute(shape, element, name="plane_convolution")


def in_rows(x: te.Tensor, window: Window, last: bool, length: tir.Expr) -> te.Tensor:
    """The rows of all channels side by side, with zeros around the pixels.

    Parameters
    ----------
    x : Tensor
        Of shape (n, i, places..), or (n, places.., i) with channels last.
    window : Window
    last : bool
        Whether x has channels last.
    length : Expr
        The last index of the result that is read, plus 1.

    Returns
    -------
    Tensor
        Of shape (n, places_but_the_last.., i, step, length), with the step of the window in a row.
    """
    batch, *sizes = x.shape
    channels, step = sizes.pop(-1 if last else 0), window.strides[-1]
    pads = list(zip(window.before, window.after, strict=True))
    outer = [n + before + after for n, (before, after) in zip(sizes, pads, strict=True)][:-1]
    cut = [*map(any, pads[:-1]), any(pads[-1]) or step > 1]

    def value(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *above, i, phase, along = rest
        place = [*above, along * step + phase]
        at = [k - before for k, before in zip(place, window.before, strict=True)]
        inside = [tir.all(k >= 0, k < n) for k, n, some in zip(at, sizes, cut, strict=True) if some]
        pixel = x(n, *at, i) if last else x(n, i, *at)
        if not inside:
            return pixel
        return tir.if_then_else(tir.all(*inside), pixel, tir.const(0, x.dtype))

    return te.compute((batch, *outer, channels, step, length), value, name="rows")


@tvm.transform.module_pass(opt_level=0, name="PlaneConvolutions")
class PlaneConvolutions(Pass):
    """Legalize the float32 convolutions of one group whose results have channels first."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such convolutions. Nothing else is changed."""
        return legalize(mod, dict.fromkeys(CONVOLUTIONS, _legalize))


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    if not takes(call):
        return call
    x, weights = call.args
    last = str(call.attrs.data_layout) not in _FIRST
    first = _before_transpose(builder, x) if last else None
    return builder.call_te(
        partial(
            plane_convolution,
            window=Window.of(call),
            last=Last(last and first is None, last),
        ),
        x if first is None else first,
        weights,
        list(call.ty.shape),
        primfunc_name_hint="conv",
        primfunc_attrs=FUSABLE,
    )


def _before_transpose(builder: relax.BlockBuilder, x: relax.Expr) -> relax.Expr | None:
    """What a transpose moves the channels of to the end. None if x is no such transpose."""
    value = builder.lookup_binding(x) if isinstance(x, relax.Var) else None
    if value is None or op_name(value) != "relax.permute_dims":
        return None
    rank = value.ty.ndim
    last = list(value.attrs.axes or ()) == [0, *range(2, rank), 1]
    return value.args[0] if last else None
