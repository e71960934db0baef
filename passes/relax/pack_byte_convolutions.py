"""Pack constant int8 weights of convolutions of bytes with channels last.

A convolution summed in int32 becomes a product of groups of bytes of neighbouring channels, as in
:mod:`pack_byte_weights`, whose rows are pixels. One of several groups of channels becomes as many
products. The numbers stay.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import tvm
from tvm import relax

from quake_tvm.kernels.byte_products import group_term
from quake_tvm.numerics.byte_dots import Format, fitting
from quake_tvm.schedules import analysis, product
from quake_tvm.tvm_version import Pass

from .convolutions import CONVOLUTIONS
from .legalize import legalize
from .pack_byte_weights import converted_once, of_groups, sums_bytes
from .pack_convolutions import Window, channels_last, grouped_convolution, packed_convolution
from .pack_weights import Panel, packed_matmul, panels
from .pads import taken_pad


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
        return converted_once(mod, legalize(mod, dict.fromkeys(CONVOLUTIONS, self._legalize)))

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        if not channels_last(call) or not sums_bytes(call):
            return call
        x, weights = call.args
        values = weights.value.numpy()  # (o, window.., i)
        apart = int(call.attrs.groups)
        form, window, channels = fitting(self.forms, values), Window.of(call), len(values) // apart
        x, window, value = taken_pad(builder, x, window)
        groups = form.grouped_rows(np.moveaxis(values, -1, 0))  # (i/group, o, window..)
        groups = np.moveaxis(groups, (0, 1), (-2, -1))  # (window.., i/group, o)
        key = product.key(
            list(call.ty.shape)[:-1],
            channels,
            groups.shape[:-1],
            [apart],
            window=apart > 1 or not window.moves_nowhere,
            dtype="int32",
        )
        width = self.panel(key, analysis.constant(call.ty.shape[-2]))
        if width is None:
            return call
        term, sums = partial(group_term, form), values.sum(tuple(range(1, values.ndim)), np.int32)
        moving: dict[str, Any] = {
            "pixels": list(call.ty.shape)[1:-1],
            "channels": channels,
            "window": window,
            "term": term,
            "around": form.group_of(value + form.shift(str(x.ty.dtype))),
        }
        if apart > 1:
            split = groups.reshape(*groups.shape[:-1], apart, channels)
            packed = np.moveaxis(panels(split, width), -2, 0)  # (g, o/p, window.., i/group, p)
            function = partial(grouped_convolution, **moving)
            if values.shape[-1] % form.group:
                shape = (*list(x.ty.shape)[:-1], apart, values.shape[-1])
                x = builder.emit(relax.op.reshape(x, shape))
            split_sums = sums.reshape(apart, channels)
            made = of_groups(builder, form, x, function, packed, split_sums)
            return relax.op.reshape(builder.emit(made), call.ty.shape)
        packed = panels(groups, width)
        if window.moves_nowhere:
            packed = packed.reshape(len(packed), -1, width)
            function = partial(packed_matmul, columns=channels, term=term)
        else:
            function = partial(packed_convolution, **moving)
        return of_groups(builder, form, x, function, packed, sums)
