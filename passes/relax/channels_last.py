"""Lay out convolutions, and the element-wise operators between them, with channels last.

The channels of a pixel are then neighbours in memory. So a convolution is a matrix product whose
rows are pixels, and element-wise operators run in vectors along the channels. TVM's ConvertLayout
moves the transposes outwards until they cancel or meet an operator that depends on the order of the
axes.
"""

from functools import partial

import tvm
from tvm import relax

from quake_tvm.kernels.fitted import FITTED
from quake_tvm.kernels.size_check import HELD
from quake_tvm.tvm_version import Pass

from . import number_within, spell_out_quantization
from .fold_moves import FoldMoves
from .graph import functions, op_name
from .legalize import legalize
from .lift_transposes import LiftTransposes
from .lower_norms import rms_norm
from .pack_byte_weights import sums_bytes
from .plane_convolutions import few_channels
from .weights import computed_in_float32, weights_of

# ConvertLayout does not know that these are element-wise and take any layout.
_LAYOUT, _ANY = "FRelaxInferLayout", "relax.nn.relu"
for _name in ("relax.nn.leakyrelu", "relax.nn.softplus", HELD, FITTED):
    tvm.ir.register_op_attr(_name, _LAYOUT, tvm.ir.Op.get(_ANY).get_attr(_LAYOUT))

LAYOUTS = {
    "relax.nn.conv1d": ["NWC", "OWI"],
    "relax.nn.conv2d": ["NHWC", "OHWI"],
    "relax.nn.conv3d": ["NDHWC", "ODHWI"],
    "relax.nn.conv1d_transpose": ["NWC", "IWO"],
    "relax.nn.conv2d_transpose": ["NHWC", "IHWO"],
}


def _wanted(call: relax.Call, lanes: int) -> dict[str, list[str]]:
    """The layouts that a convolution should have. Its own layouts if others gain nothing."""
    name = op_name(call)
    if name not in LAYOUTS:
        return {}
    if not _gains(call):
        return {name: _own(call)}
    result = [str(call.attrs.out_layout)] if few_channels(call, lanes) else []
    return {name: [*LAYOUTS[name], *result]}


def _own(call: relax.Call) -> list[str]:
    return [str(call.attrs.data_layout), str(call.attrs.kernel_layout)]


def _gains(call: relax.Call) -> bool:
    if weights_of(call) is None:
        return False
    floats = computed_in_float32(call)
    if "transpose" in op_name(call):
        return floats and _simple(call)
    return floats or sums_bytes(call)


def _simple(transposed: relax.Call) -> bool:
    """Whether PackTransposedConvolutions takes a transposed convolution.

    TVM has no kernel for one with channels last.
    """
    return int(transposed.attrs.groups) == 1 and {*map(int, transposed.attrs.dilation)} == {1}


def _unstacked(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """A stack as a concatenation, because ConvertLayout fails on the axis that a stack inserts."""
    axis = int(call.attrs.axis) % call.ty.ndim
    parts = [builder.emit(relax.op.expand_dims(x, axis)) for x in call.args[0].fields]
    return relax.op.concat(parts, axis)


def _reshaped(_: relax.BlockBuilder, squeeze: relax.Call) -> relax.Expr:
    """A squeeze as a reshape, if it counts an axis from the end.

    ConvertLayout fails on such an axis.
    """
    backwards = any(int(axis) < 0 for axis in squeeze.attrs.axis or ())
    return relax.op.reshape(squeeze.args[0], squeeze.ty.shape) if backwards else squeeze


def _flattened(builder: relax.BlockBuilder, repeat: relax.Call) -> relax.Expr:
    """A repeat of all elements as one of a vector: ConvertLayout changes the elements' order."""
    if repeat.attrs.axis is not None:
        return repeat
    flat = builder.emit(relax.op.reshape(repeat.args[0], (-1,)))
    return relax.op.repeat(flat, int(repeat.attrs.repeats), 0)


def _with_rank(_: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Reshape a constant that has fewer axes than the other operand.

    ConvertLayout gives up on operands of different ranks, except scalars. A single number becomes a
    scalar. One number for each channel, of shape (c, 1, ..), gets the batch's axis in front.
    """
    rank = call.ty.ndim

    def operand(arg: relax.Expr, other: relax.Expr) -> relax.Expr:
        if not isinstance(arg, tvm.ir.expr.GenericConst) or other.ty.ndim != rank:
            return arg
        values = arg.value.numpy()
        if values.size == 1 and 0 < values.ndim < rank:
            return relax.const(values.reshape(()), arg.ty.dtype)
        if 2 <= values.ndim == rank - 1 and set(values.shape[1:]) == {1}:
            return relax.const(values[None], arg.ty.dtype)
        return arg

    x, y = call.args
    args = [operand(x, y), operand(y, x)]
    if args[0].same_as(x) and args[1].same_as(y):
        return call
    return getattr(relax.op, op_name(call).removeprefix("relax."))(*args)


_OF_TWO = ("add", "subtract", "multiply", "divide", "maximum", "minimum")


@tvm.transform.module_pass(opt_level=0, name="ChannelsLast")
class ChannelsLast(Pass):
    """Convert convolutions of floats or bytes with constant weights; fold constant transposes.

    Parameters
    ----------
    lanes : int
        Floats in the target's vectors. A result of few channels keeps them first.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the convolutions. A module without such a convolution is unchanged."""
        found: list[relax.Call] = []
        for _name, function in functions(mod):
            relax.analysis.post_order_visit(
                function, lambda e: found.append(e) if op_name(e) in LAYOUTS else None
            )
        if not any(_gains(call) for call in found):
            return mod
        rules = {
            # ConvertLayout makes a kernel of it, and TVM's only has the last axis.
            "relax.nn.rms_norm": rms_norm,
            "relax.repeat": _flattened,
            "relax.stack": _unstacked,
            "relax.squeeze": _reshaped,
            **spell_out_quantization.RULES,
            **dict.fromkeys((f"relax.{name}" for name in _OF_TWO), _with_rank),
        }
        mod = legalize(mod, rules, keep_emitted=True)
        steps = [
            relax.transform.CanonicalizeBindings(),  # ConvertLayout gives up where y = x
            relax.transform.ConvertLayout({}, partial(_wanted, lanes=self.lanes)),
            LiftTransposes(),
            FoldMoves(),
            relax.transform.FoldConstant(),
        ]
        return number_within.spelled_out(tvm.transform.Sequential(steps)(mod))
