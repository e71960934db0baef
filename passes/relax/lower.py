"""Lower ``quake`` operators to PrimFuncs through TVM's own legalization.

``LegalizeOps`` runs with our functions for our operators and skips other operators. Exceptions are
operators whose legalization creates an exponential inside a PrimFunc (attention, cross entropy):
TVM legalizes them, so that the TIR pass finds the exponential. Each PrimFunc carries its sites in
the attribute ``quake.sites``, which the report reads.
"""

import json
from dataclasses import replace
from functools import partial

import tvm
from tvm import relax

from quake_tvm.kernels import compute
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.options import Options

from ..lower_tir import SITES
from .call_written_out import call_written_out
from .graph import dtype
from .legalize import legalize
from .ops import PREFIX, attributes_of
from .ops import call as quake_call
from .quantized import BYTES

# Operators whose own legalization makes PrimFuncs with an exp inside.
HIDING = {
    "relax.nn.attention",
    "relax.nn.attention_bias",
    "relax.nn.cross_entropy_with_logits",
    "relax.log_add_exp",
}

# The kernels over rows of quantized tensors.
OF_BYTES = {"softmax": "byte_softmax"}


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    operator = call.op.name.removeprefix(PREFIX)
    if not OPERATORS[operator].elementwise and int(call.attrs["axis"]) != call.args[0].ty.ndim - 1:
        return _with_axis_last(builder, call, operator)
    attributes = attributes_of(call)
    name, options = f"quake_{operator}", attributes.options()
    attrs = {SITES: json.dumps([{**attributes.mark(operator), **attributes.numbers}])}
    if not OPERATORS[operator].elementwise:
        of_bytes = dtype(call.args[0]) in BYTES
        kernel = KernelSpec(OF_BYTES[operator] if of_bytes else operator, options)
        return call_written_out(builder, name, kernel, call.args, call.ty, attrs)
    function = partial(compute.elementwise, operator=operator, **options)
    return builder.call_te(function, *call.args, primfunc_name_hint=name, primfunc_attrs=attrs)


def _with_axis_last(builder: relax.BlockBuilder, call: relax.Call, operator: str) -> relax.Expr:
    """Transpose so that an operator over rows runs along the last axis, and transpose back."""
    attributes = attributes_of(call)
    axis, rank = int(call.attrs["axis"]), call.args[0].ty.ndim
    order = [*range(axis), *range(axis + 1, rank), axis]
    empty = any(getattr(n, "value", 1) == 0 for n in call.args[0].ty.shape)
    if empty and not OPERATORS[operator].reduces:
        return call.args[0]  # TVM mistakes an empty transpose for a reshape
    x = builder.emit(relax.op.permute_dims(call.args[0], order))
    result = builder.emit(quake_call(operator, x, **replace(attributes, axis=rank - 1).to_attrs()))
    if attributes.keepdims is False:
        return result
    return relax.op.permute_dims(result, [order.index(k) for k in range(rank)])


def lower(mod: tvm.IRModule, options: Options) -> tvm.IRModule:
    """Legalize the ``quake`` operators and those that hide exponentials.

    Nothing else is changed.
    """

    def legalize_hiding(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        choice = options.choose("exp", str(call.args[0].ty.dtype), site=0)
        sliding = "attention" in call.op.name and call.attrs.window_size is not None
        if choice.method is None or sliding:  # TVM cannot legalize a sliding window
            return call
        return call.op.get_attr("FLegalize")(builder, call)

    ours = dict.fromkeys((PREFIX + name for name in OPERATORS), _legalize)
    return legalize(mod, ours | dict.fromkeys(HIDING, legalize_hiding))
