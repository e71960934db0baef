"""Convolutions of 3x3 windows that move by one pixel, by Winograd's algorithm.

It takes 16 multiplications for each four results instead of 36. :mod:`quake_tvm.numerics.winograd`
has the algorithm and its error bound. Weights are transformed here, once.

Which convolutions take it depends on their weights alone, and on no size, target or number of
threads. So builds for any size have the bits of static builds.
"""

from functools import partial

import numpy as np
import tvm
from tvm import relax

from quake_tvm.kernels.index_check import CHECKED
from quake_tvm.kernels.winograd import convolution
from quake_tvm.numerics import winograd
from quake_tvm.numerics.number_formats import COMPUTED
from quake_tvm.schedules.winograd import BLOCK, key_of
from quake_tvm.tvm_version import Pass

from .legalize import FUSABLE, legalize
from .pack_convolutions import Window, channels_last
from .pack_weights import Panel, panels
from .weights import computed_in_float32

# The fewest channels on either side: one vector of the widest registers. With fewer, the transforms
# cost more than the products save.
FEWEST = 16
# The most weights of one tap. The transformed weights take 64 bytes for each. More are no longer
# read from a cache, where the direct sum reads 36 bytes.
MOST = 1 << 16


@tvm.transform.module_pass(opt_level=0, name="PackWinograd")
class PackWinograd(Pass):
    """Pack the convolutions that Winograd's algorithm makes faster.

    Parameters
    ----------
    panel : callable
        As for :class:`PackWeights`. A register tile's rows are tiles of four pixels.
    precision : str
        ``"bfloat16"``: the transformed operands are rounded to it where the weights are bfloat16.
    """

    def __init__(self, panel: Panel, precision: str = COMPUTED) -> None:
        self.panel, self.precision = panel, precision

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such convolutions. Nothing else is changed."""
        return legalize(mod, {"relax.nn.conv2d": self._legalize})

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        if not suits(call, self.precision):
            return call
        x, weights = call.args
        window, values = Window.of(call), weights.value.numpy()
        channels = values.shape[0]
        factors = winograd.weights(values)
        # As they will be stored: a factor may leave the range that its weights are within.
        if not np.isfinite(factors.astype(values.dtype)).all():
            return call
        if str(values.dtype) != COMPUTED:
            factors = winograd.paired(factors)
        key = key_of(list(call.ty.shape), values.shape[-1], str(factors.dtype))
        width = self.panel(key, BLOCK)
        if width is None:
            return call
        return builder.call_te(
            partial(
                convolution,
                pixels=list(call.ty.shape)[1:-1],
                channels=channels,
                before=window.before,
            ),
            x,
            relax.const(panels(factors, width)),
            primfunc_name_hint="winograd",
            # No address depends on data.
            primfunc_attrs={**FUSABLE, CHECKED: True},
        )


def suits(call: relax.Call, precision: str) -> bool:
    """Whether Winograd's algorithm computes this convolution.

    It must have channels last, windows of 3 by 3 that move by one pixel, one group, and constant
    weights: float32, or bfloat16 if this is the precision and the number of input channels is even.
    """
    if not channels_last(call) or not computed_in_float32(call) or int(call.attrs.groups) != 1:
        return False
    values, window = call.args[1].value.numpy(), Window.of(call)
    if (window.size, window.strides, window.dilation) != ((3, 3), (1, 1), (1, 1)):
        return False
    outputs, *_, inputs = values.shape
    if min(outputs, inputs) < FEWEST or outputs * inputs > MOST:
        return False
    dtype = str(values.dtype)
    paired = dtype == precision == "bfloat16" and inputs % 2 == 0
    return dtype == COMPUTED or paired
