"""layer_norm and rms_norm over several axes as norms over one, or as the operators they consist of.

Over the last axes a tensor is reshaped, and the norm runs along rows, for which there are kernels.
Over other axes the norm is spelled out. TVM's ConvertLayout would move the axes of such a norm, but
not those of its weights. Knows no kernel.
"""

from math import prod

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.kernels.size_check import Need, equal, held
from quake_tvm.tvm_version import Pass, updated

from . import spell_out_norms
from .graph import functions, op_name

op = relax.op
_PROBLEM = "the weights have other sizes than the axes"
_NORMS = ("relax.nn.layer_norm", "relax.nn.rms_norm")


def _flat(builder: relax.BlockBuilder, call: relax.Call, axes: list[int]) -> relax.Expr | None:
    """The norm over a reshaped tensor. None if the axes are not the last ones."""
    x, *weights = call.args
    shape = list(x.ty.shape)
    if axes != list(range(len(shape)))[-len(axes) :]:
        return None
    length = prod((shape[a] for a in axes[1:]), start=shape[axes[0]])
    rows = builder.emit(op.reshape(x, [*shape[: axes[0]], length]))
    flat = []
    for weight in weights:
        pairs = [
            pair
            for own, axis in zip(weight.ty.shape, axes, strict=True)
            for pair in equal(own, shape[axis])
        ]
        need = Need(pairs, op_name(call).removeprefix("relax.nn."), _PROBLEM)
        flat.append(builder.emit(op.reshape(held(builder, weight, [need]), [length])))
    attrs = call.attrs
    if len(weights) == 1:
        norm = op.nn.rms_norm(rows, *flat, axes=[-1], epsilon=attrs.epsilon)
    else:
        norm = op.nn.layer_norm(
            rows,
            *flat,
            axes=[-1],
            epsilon=attrs.epsilon,
            center=attrs.center,
            scale=attrs.scale,
        )
    return op.reshape(builder.emit(norm), shape)


@mutator
class _Flatten(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if op_name(call) not in _NORMS or len(call.attrs.axes) == 1:
            return call
        axes = [int(a) % call.args[0].ty.ndim for a in call.attrs.axes]
        flat = _flat(self.builder_, call, axes)
        return spell_out_norms.layer_norm(self.builder_, call) if flat is None else flat


@tvm.transform.module_pass(opt_level=0, name="FlattenNorms")
class FlattenNorms(Pass):
    """Rewrite layer_norm and rms_norm over several axes."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite these norms. Other functions are unchanged."""
        flatten, updates = _Flatten(mod), {}
        for name, function in functions(mod):
            changed = flatten.visit_expr(function)
            if not changed.same_as(function):
                updates[name] = changed
        return updated(mod, updates)
