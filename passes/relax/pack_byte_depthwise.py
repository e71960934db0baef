"""Pack constant int8 weights of depthwise convolutions of bytes with channels last.

Where the target has an instruction for groups of four bytes, a window's row becomes groups
(:mod:`quake_tvm.kernels.byte_depthwise`). Elsewhere the sums are float32 where that is exact. The
numbers stay.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels import byte_depthwise
from quake_tvm.kernels.byte_depthwise import EXACT, Grouped
from quake_tvm.kernels.byte_products import shifted
from quake_tvm.numerics.byte_dots import Format
from quake_tvm.tvm_version import Pass, tir

from .convolutions import CONVOLUTIONS
from .legalize import FUSABLE, legalize
from .pack_byte_weights import sums_bytes
from .pack_convolutions import (
    Window,
    a_channel_each,
    channels_last,
    depthwise_convolution,
    is_depthwise,
)
from .pads import taken_pad


@tvm.transform.module_pass(opt_level=0, name="PackByteDepthwise")
class PackByteDepthwise(Pass):
    """Pack every depthwise convolution of bytes with channels last and constant int8 weights.

    Parameters
    ----------
    forms : sequence of Format
        The formats of the target's dot products, the fastest first.
    """

    def __init__(self, forms: Sequence[Format]) -> None:
        self.form = forms[0]

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such convolutions. Nothing else is changed."""
        return legalize(mod, dict.fromkeys(CONVOLUTIONS, self._legalize))

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        if not channels_last(call) or not sums_bytes(call) or not is_depthwise(call):
            return call
        window, values = Window.of(call), call.args[1].value.numpy()  # (c, window.., 1)
        weights = np.ascontiguousarray(np.moveaxis(values[..., 0], 0, -1))
        if not self.form.adds_groups and values[0].size > EXACT:
            return call
        x, window, around = taken_pad(builder, call.args[0], window)
        x = a_channel_each(builder, x, len(values))
        pixels = list(call.ty.shape)[1:-1]
        if self.form.adds_groups:
            row = Grouped(window.size[-1], window.strides[-1], window.dilation[-1])
            *after, last = window.after
            wide = replace(window, after=(*after, last + row.more))
            function = partial(_of_groups, window=wide, around=around, row=row, form=self.form)
            packed = byte_depthwise.packed(self.form, weights)
            shift = self.form.shift(str(x.ty.dtype))
            sums = weights.sum(tuple(range(weights.ndim - 1)), np.int32)
            constants = [-shift * sums] if shift else []
        else:
            function = partial(_in_floats, window=window, around=around)
            packed, constants = weights.astype(np.float32), []
        return builder.call_te(
            function,
            x,
            *map(relax.const, (packed, *constants)),
            pixels=pixels,
            primfunc_name_hint="conv",
            primfunc_attrs=FUSABLE,
        )


def _of_groups(
    x: te.Tensor,
    w: te.Tensor,
    *constants: te.Tensor,
    pixels: Sequence[tir.Expr],
    window: Window,
    around: int,
    row: Grouped,
    form: Format,
) -> te.Tensor:
    padded = window.padded(x, around)
    sums = byte_depthwise.of_groups(padded, w, pixels, window.strides, window.dilation, row, form)
    return shifted(sums, *constants) if constants else sums


def _in_floats(
    x: te.Tensor, w: te.Tensor, *, pixels: Sequence[tir.Expr], window: Window, around: int
) -> te.Tensor:
    padded = window.padded(x, around)
    floats = te.compute(padded.shape, lambda *i: tir.Cast("float32", padded(*i)), name="floats")
    nothing = (0,) * len(window.size)
    inside = replace(window, before=nothing, after=nothing)
    sums = depthwise_convolution(floats, w, pixels, inside)
    return te.compute(sums.shape, lambda *i: tir.Cast("int32", sums(*i)), name="sums")
