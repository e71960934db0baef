"""Pack constant int8 weights of convolutions of bytes with channels last.

A convolution summed in int32 becomes a product of groups of channels, as in
:mod:`pack_byte_weights`, whose rows are pixels. Convolutions of several groups of channels are
summed in float32 where that is exact. The numbers stay.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tvm
from tvm import relax

from quake_tvm.kernels.byte_products import group_term
from quake_tvm.numerics.byte_dots import Format, fitting
from quake_tvm.schedules import analysis, product
from quake_tvm.tvm_version import Pass

from .graph import op_name
from .legalize import legalize
from .pack_byte_weights import converted_once, of_groups, sums_bytes
from .pack_convolutions import Window, channels_last, packed_convolution
from .pack_weights import Panel, packed_matmul, panels

# float32 has every sum of so many products of two bytes.
_EXACT = 2**24 // (255 * 128)


@tvm.transform.module_pass(opt_level=0, name="PackByteConvolutions")
class PackByteConvolutions(Pass):
    """Pack every convolution of bytes with channels last and constant int8 weights.

    Parameters
    ----------
    panel : callable
        As for :class:`PackConvolutions`.
    forms : sequence of Format
        The formats of the target's dot products, the fastest first.
    """

    def __init__(self, panel: Panel, forms: Sequence[Format]) -> None:
        self.panel, self.forms = panel, forms

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such convolutions, and convert each input once. Nothing else is changed."""
        names = ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d")
        return converted_once(mod, legalize(mod, dict.fromkeys(names, self._legalize)))

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        if not channels_last(call) or not sums_bytes(call):
            return call
        x, weights = call.args
        values = weights.value.numpy()  # (o, window.., i)
        if int(call.attrs.groups) > 1:
            exact = values[0].size <= _EXACT
            return _in_floats(builder, call, values) if exact else call
        form, window, channels = fitting(self.forms, values), Window.of(call), len(values)
        x, window, value = _with_pad(builder, x, window)
        groups = form.grouped_rows(np.moveaxis(values, -1, 0))  # (i/group, o, window..)
        groups = np.moveaxis(groups, (0, 1), (-2, -1))  # (window.., i/group, o)
        key = product.key(
            list(call.ty.shape)[:-1],
            channels,
            groups.shape[:-1],
            window=not window.moves_nowhere,
            dtype="int32",
        )
        width = self.panel(key, analysis.constant(call.ty.shape[-2]))
        if width is None:
            return call
        packed, term = panels(groups, width), partial(group_term, form)
        if window.moves_nowhere:
            packed = packed.reshape(len(packed), -1, width)
            function = partial(packed_matmul, columns=channels, term=term)
        else:
            function = partial(
                packed_convolution,
                pixels=list(call.ty.shape)[1:-1],
                channels=channels,
                window=window,
                term=term,
                around=form.group_of(value + form.shift(str(x.ty.dtype))),
            )
        taps = tuple(range(1, values.ndim))
        return of_groups(builder, form, x, function, packed, values.sum(taps, np.int32))


def _with_pad(
    builder: relax.BlockBuilder, x: relax.Expr, window: Window
) -> tuple[relax.Expr, Window, int]:
    """What a pad of the pixels reads, with a window that pads in its place, and the pad's value.

    The operands and 0 if there is no such pad, or if the window has one of its own.
    """
    pad: Any = builder.lookup_binding(x) if isinstance(x, relax.Var) else None
    if op_name(pad) != "relax.nn.pad" or str(pad.attrs.pad_mode) != "constant":
        return x, window, 0
    width, rank = [int(n) for n in pad.attrs.pad_width], len(window.size)
    before, after = width[2 : 2 * rank + 2 : 2], width[3 : 2 * rank + 2 : 2]
    others = width[:2] + width[2 * rank + 2 :]
    if any((*others, *window.before, *window.after)) or min(width) < 0:
        return x, window, 0
    own = replace(window, before=tuple(before), after=tuple(after))
    return pad.args[0], own, int(pad.attrs.pad_value)


def _in_floats(builder: relax.BlockBuilder, call: relax.Call, values: np.ndarray) -> relax.Expr:
    """The convolution of the same numbers in float32, which :mod:`pack_convolutions` packs."""
    given = call.attrs
    real = getattr(relax.op.nn, op_name(call).removeprefix("relax.nn."))(
        builder.emit(relax.op.astype(call.args[0], "float32")),
        relax.const(values.astype(np.float32)),
        strides=given.strides,
        padding=given.padding,
        dilation=given.dilation,
        groups=given.groups,
        data_layout=given.data_layout,
        kernel_layout=given.kernel_layout,
        out_layout=given.out_layout,
    )
    return relax.op.astype(builder.emit(real), "int32")
