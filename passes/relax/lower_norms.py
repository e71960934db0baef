"""Lower norms along the last axis to the kernels of :mod:`quake_tvm.kernels.norms`.

group_norm and instance_norm become a layer_norm over the channels of a group of one sample,
followed by a factor and a shift per channel.
"""

from collections.abc import Sequence
from math import prod

import tvm
from tvm import relax, sym

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.tvm_version import Pass

from . import legalize_reshape, spell_out_norms
from .call_written_out import call_written_out
from .graph import dtype
from .legalize import Legalize, legalize


def _along_last(call: relax.Call) -> bool:
    """Whether the operands are float32 and the norm runs along the last axis only."""
    axes = [int(a) % call.args[0].ty.ndim for a in call.attrs.axes]
    return axes == [call.args[0].ty.ndim - 1] and all(
        str(a.ty.dtype) == "float32" for a in call.args
    )


def _emit(
    builder: relax.BlockBuilder, call: relax.Call, name: str, args: Sequence[relax.Expr]
) -> relax.Expr:
    kernel = KernelSpec(name, {"epsilon": float(call.attrs.epsilon)})
    return call_written_out(builder, name, kernel, args, args[0].ty)


def _layer_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    if _is_foreign(call) or not (call.attrs.center and call.attrs.scale):  # which TVM's ignores
        return spell_out_norms.layer_norm(builder, call)
    return _emit(builder, call, "layer_norm", call.args) if _along_last(call) else call


def rms_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Lower rms_norm to the kernel along rows, or to the operators that it consists of."""
    if not _along_last(call):  # TVM's takes the last axis only, and no float64
        return spell_out_norms.layer_norm(builder, call)
    return _emit(builder, call, "rms_norm", call.args)


def _is_foreign(call: relax.Call) -> bool:
    """Whether TVM's kernel refuses the type."""
    return dtype(call.args[0]) not in ("float16", "float32")


def _grouped(
    builder: relax.BlockBuilder, call: relax.Call, groups: int, otherwise: Legalize
) -> relax.Expr:
    x, *weights = call.args
    shape = list(x.ty.shape)
    axis = int(call.attrs.channel_axis if hasattr(call.attrs, "channel_axis") else call.attrs.axis)
    axes = sorted(int(a) % len(shape) for a in call.attrs.axes)
    if getattr(shape[0], "value", 0) == 1:  # torch's instance_norm has one sample, and averages it
        axes = [a for a in axes if a]
    channels_first = axis % len(shape) == 1 and axes == list(range(2, len(shape)))
    floats = all(str(a.ty.dtype) == "float32" for a in call.args)
    if not (hasattr(shape[1], "value") and channels_first and floats):
        return otherwise(builder, call)
    length = sym.Analyzer().simplify(prod(shape[2:], start=shape[1] // groups))
    flat = builder.emit(relax.op.reshape(x, (shape[0], groups, length)))
    normal = builder.emit(_emit(builder, call, "layer_norm", [flat]))
    normal = builder.emit(relax.op.reshape(normal, shape))
    return spell_out_norms.weighted(builder, call, normal, weights, [1])


def _group_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    return _grouped(builder, call, int(call.attrs.num_groups), spell_out_norms.group_norm)


def _instance_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x = call.args[0]
    channels = int(x.ty.shape[1]) if hasattr(x.ty.shape[1], "value") else 1
    return _grouped(builder, call, channels, spell_out_norms.instance_norm)


@tvm.transform.module_pass(opt_level=0, name="LowerNorms")
class LowerNorms(Pass):
    """Legalize layer, rms, group and instance norms.

    TVM handles layer_norm in float16, and in float32 along another axis than the last.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize these operators. Nothing else is changed."""
        return legalize(
            mod,
            {
                "relax.nn.layer_norm": _layer_norm,
                "relax.nn.rms_norm": rms_norm,
                "relax.nn.group_norm": _group_norm,
                "relax.nn.instance_norm": _instance_norm,
                **legalize_reshape.RULES,
            },
        )
