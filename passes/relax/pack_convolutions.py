"""Pack constant weights of convolutions with channels last for the register tiles.

A convolution is a product whose rows are pixels. Its weights become panels of output channels,
(o/p, window.., i, p), as in :mod:`pack_weights`. A depthwise convolution has one weight for each
tap and channel, (window.., c). A channel with a few filters is repeated, once for each. Other
grouped convolutions are independent products, one for each group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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

from .graph import op_name
from .legalize import FUSABLE, UNFUSABLE, legalize
from .pack_weights import Panel, Term, in_halves, packed_matmul, panels, widened_term
from .weights import computed_in_float32

# With so many filters for a channel, products of each channel are as fast as repeated channels.
MANY = 8


@dataclass(frozen=True)
class Window:
    """How a window moves over the pixels. Each field has one entry for each spatial dimension.

    Attributes
    ----------
    size, strides, dilation : tuple of int
    before, after : tuple of int
        Padding with zeros on either side.
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, call: relax.Call) -> "Window":
        """The window of a convolution, whose weights have channels last or first."""
        channels_first = str(call.attrs.kernel_layout).startswith("OI")
        axes = slice(2, None) if channels_first else slice(1, -1)
        size = tuple(map(int, list(call.args[1].ty.shape)[axes]))
        padding = tuple(map(int, call.attrs.padding))
        strides, dilation = (
            tuple(map(int, each)) for each in (call.attrs.strides, call.attrs.dilation)
        )
        return cls(size, strides, dilation, padding[: len(size)], padding[len(size) :])

    @property
    def moves_nowhere(self) -> bool:
        """Whether each output pixel reads only the input pixel at the same position."""
        return {*self.size, *self.strides} == {1} and not any(self.before + self.after)

    def padded(self, x: te.Tensor, around: int = 0) -> te.Tensor:
        """x, of shape (n, pixels.., c) or (n, pixels.., g, i), with a value around the pixels."""
        if not any(self.before + self.after):
            return x
        end = 1 + len(self.size)
        sizes = list(x.shape[1:end])
        shape = [n + b + a for n, b, a in zip(sizes, self.before, self.after, strict=True)]

        def value(*i: tir.Expr) -> tir.Expr:
            at = [k - b for k, b in zip(i[1:end], self.before, strict=True)]
            inside = [tir.all(k >= 0, k < n) for k, n in zip(at, sizes, strict=True)]
            other = tir.const(around, x.dtype)
            return tir.if_then_else(tir.all(*inside), x(i[0], *at, *i[end:]), other)

        return te.compute((x.shape[0], *shape, *x.shape[end:]), value, name="padded")

    def axes(self) -> list[tir.IterVar]:
        """One reduction axis for each spatial dimension."""
        return [te.reduce_axis((0, n), f"tap{k}") for k, n in enumerate(self.size)]

    def at(self, pixel: Sequence[tir.Expr], taps: Sequence[tir.IterVar]) -> list[tir.Expr]:
        """The index in the padded input of a tap of an output pixel."""
        steps = zip(pixel, taps, self.strides, self.dilation, strict=True)
        return [p * s + t * d for p, t, s, d in steps]


def packed_convolution(
    x: te.Tensor,
    w: te.Tensor,
    pixels: Sequence[tir.Expr],
    channels: int,
    window: Window,
    term: Term = widened_term,
    around: int = 0,
) -> te.Tensor:
    """A convolution with packed weights.

    Parameters
    ----------
    x : Tensor
        Of shape (n, places.., i).
    w : Tensor
        Of shape (o/p, window.., i, p).
    pixels : sequence of Expr
        Spatial extents of the result.
    channels : int
        Output channels.
    window : Window
    term : callable
        What is summed.
    around : int
        What the pixels are padded with.

    Returns
    -------
    Tensor
        Of shape (n, pixels.., channels).
    """
    padded, width = window.padded(x, around), int(w.shape[-1])
    taps, i = window.axes(), te.reduce_axis((0, w.shape[-2]), "i")

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *pixel, o = rest
        weight = w(panel_of(o, width), *taps, i, within_panel(o, width, channels))
        at = window.at(pixel, taps)
        return te.sum(term(lambda k: padded(n, *at, k), i, weight), [*taps, i])

    shape = (x.shape[0], *pixels, channels)
    return te.compute(shape, element, name="packed_convolution")


def grouped_convolution(
    x: te.Tensor,
    w: te.Tensor,
    pixels: Sequence[tir.Expr],
    channels: int,
    window: Window,
    term: Term = widened_term,
    around: int = 0,
) -> te.Tensor:
    """A convolution of g groups with packed weights.

    Parameters
    ----------
    x : Tensor
        Of shape (n, places.., g*i) or (n, places.., g, i).
    w : Tensor
        Of shape (g, o/p, window.., i, p).
    pixels : sequence of Expr
        Spatial extents of the result.
    channels : int
        Output channels of one group.
    window : Window
    term, around
        As for :func:`packed_convolution`.

    Returns
    -------
    Tensor
        Of shape (n, pixels.., g, channels).
    """
    groups, inputs, width = w.shape[0], w.shape[-2], int(w.shape[-1])
    padded, apart = window.padded(x, around), len(x.shape) > len(window.size) + 2
    taps, i = window.axes(), te.reduce_axis((0, inputs), "i")

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *pixel, g, o = rest
        weight = w(g, panel_of(o, width), *taps, i, within_panel(o, width, channels))
        at = window.at(pixel, taps)

        def value(k: tir.Expr) -> tir.Expr:
            return padded(n, *at, *((g, k) if apart else (g * inputs + k,)))

        return te.sum(term(value, i, weight), [*taps, i])

    shape = (x.shape[0], *pixels, groups, channels)
    return te.compute(shape, element, name="grouped_convolution")


def depthwise_convolution(
    x: te.Tensor, w: te.Tensor, pixels: Sequence[tir.Expr], window: Window
) -> te.Tensor:
    """A convolution of each channel with its own window.

    Parameters
    ----------
    x : Tensor
        Of shape (n, places.., c).
    w : Tensor
        Of shape (window.., c).
    pixels : sequence of Expr
        Spatial extents of the result.
    window : Window

    Returns
    -------
    Tensor
        Of shape (n, pixels.., c).
    """
    padded, taps = window.padded(x), window.axes()

    def element(n: tir.Expr, *rest: tir.Expr) -> tir.Expr:
        *pixel, c = rest
        at = window.at(pixel, taps)
        return te.sum(widened_term(lambda k: padded(n, *at, k), c, w(*taps, c)), taps)

    shape = (x.shape[0], *pixels, x.shape[-1])
    return te.compute(shape, element, name="depthwise_convolution")


@tvm.transform.module_pass(opt_level=0, name="PackConvolutions")
class PackConvolutions(Pass):
    """Pack every float32 convolution with channels last and constant weights.

    Parameters
    ----------
    panel : callable
        As for :class:`PackWeights`. A tile's rows are innermost pixels.
    precision : str
        As for :class:`PackWeights`. Convolutions of several groups are float32.
    """

    def __init__(self, panel: Panel, precision: str = COMPUTED) -> None:
        self.panel, self.precision = panel, precision

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such convolutions. Nothing else is changed."""
        names = ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d")
        return legalize(mod, dict.fromkeys(names, self._legalize))

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, weights = call.args
        if not channels_last(call) or not computed_in_float32(call):
            return call
        values = weights.value.numpy()  # (o, window.., i)
        channels, groups = values.shape[0], int(call.attrs.groups)
        window = Window.of(call)
        depthwise = is_depthwise(call)
        paired = weights.ty.dtype == self.precision == "bfloat16" and groups == 1 and not depthwise
        if paired:
            values = np.moveaxis(packed_rows(np.moveaxis(values, -1, 0)), 0, -1)
        key = product.key(
            list(call.ty.shape)[:-1],
            channels // groups,
            values.shape[1:],
            [groups],
            window=groups > 1 or not window.moves_nowhere,
            dtype=str(values.dtype),
        )
        width = self.panel(key, analysis.constant(call.ty.shape[-2]))
        known = all(isinstance(n, tir.IntImm) for n in call.ty.shape)
        flat = depthwise or groups == 1
        if depthwise:
            x = a_channel_each(builder, x, channels)
            packed = np.ascontiguousarray(np.moveaxis(values[..., 0], 0, -1))
            function = partial(depthwise_convolution, window=window)
        elif width is None:
            return call
        elif groups > 1:
            split = values.reshape(groups, channels // groups, *values.shape[1:])
            packed = np.moveaxis(panels(np.moveaxis(split, 1, -1), width), 0, 1)
            function = partial(grouped_convolution, channels=channels // groups, window=window)
        else:
            packed = panels(np.moveaxis(values, 0, -1), width)  # (o/p, window.., i, p)
            term = pair_term if paired else widened_term
            if window.moves_nowhere:
                packed = packed.reshape(len(packed), -1, width)
                function = partial(packed_matmul, columns=channels, term=term)
            else:
                function = partial(packed_convolution, channels=channels, window=window, term=term)
        weights = relax.const(np.ascontiguousarray(packed))
        pixels = [] if function.func is packed_matmul else [list(call.ty.shape)[1:-1]]
        result = builder.call_te(
            function,
            in_halves(builder, x) if paired else x,
            weights,
            *pixels,
            primfunc_name_hint="conv",
            # TVM cannot fuse after the reshape of groups if its extents are unknown.
            primfunc_attrs=FUSABLE if flat or known else UNFUSABLE,
        )
        return result if flat else relax.op.reshape(builder.emit(result), call.ty.shape)


def is_depthwise(call: relax.Call) -> bool:
    """Whether a convolution with channels last has one or a few filters for each channel alone.

    As products of each channel, those with a few filters would have as few columns.
    """
    filters, groups = int(call.args[1].ty.shape[0]), int(call.attrs.groups)
    alone = int(call.args[1].ty.shape[-1]) == 1
    return alone and (filters == groups or (groups > 1 and filters < MANY * groups))


def a_channel_each(builder: relax.BlockBuilder, x: relax.Expr, filters: int) -> relax.Expr:
    """The input of a depthwise convolution, with its channels repeated: one for each filter."""
    times = filters // int(x.ty.shape[-1])
    return x if times == 1 else builder.emit(relax.op.repeat(x, times, axis=-1))


def channels_last(call: relax.Call) -> bool:
    """Whether a convolution has channels last and constant, non-empty weights.

    Those are (o, window.., i), or of a transposed convolution (i, window.., o).
    """
    weights = call.args[1]
    layouts = {str(call.attrs.data_layout), str(call.attrs.out_layout)}
    ends = "IO" if "transpose" in op_name(call) else "OI"
    kernel = str(call.attrs.kernel_layout)
    return (
        isinstance(weights, tvm.ir.expr.GenericConst)
        and layouts <= {"NWC", "NHWC", "NDHWC"}
        and kernel[0] + kernel[-1] == ends
        and 0 not in weights.value.numpy().shape
    )
