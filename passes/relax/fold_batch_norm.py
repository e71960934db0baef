"""Batch normalization with known statistics becomes a factor and a summand per channel."""

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass

from .graph import functions, op_name


@mutator
class _Fold(PyExprMutator):
    def visit_tuple_getitem_(self, item: relax.TupleGetItem) -> relax.Expr:
        item = super().visit_tuple_getitem_(item)
        call = item.tuple_value
        if isinstance(call, relax.Var):
            call = self.lookup_binding(call)
        if op_name(call) != "relax.nn.batch_norm" or item.index != 0:
            return item
        x, *parameters = call.args
        known = all(isinstance(p, tvm.ir.expr.GenericConst) for p in parameters)
        if not known or call.attrs.training or str(x.ty.dtype) != "float32":
            return item
        gamma, beta, mean, variance = (p.value.numpy().astype(np.float64) for p in parameters)
        with np.errstate(all="ignore"):
            factor = (gamma if call.attrs.scale else 1.0) / np.sqrt(variance + call.attrs.epsilon)
            shift = (beta if call.attrs.center else 0.0) - mean * factor
            factor, shift = factor.astype(np.float32), shift.astype(np.float32)
        if not (np.all(np.isfinite(factor)) and np.all(np.isfinite(shift))):
            return item  # (x - mean) / deviation may still be finite
        shape = [1] * x.ty.ndim
        shape[int(call.attrs.axis)] = -1

        def constant(values: np.ndarray) -> relax.Expr:
            return relax.const(values.reshape(shape), "float32")

        scaled = self.builder_.emit(relax.op.multiply(x, constant(factor)))
        return relax.op.add(scaled, constant(shift))


@tvm.transform.module_pass(opt_level=0, name="FoldBatchNorm")
class FoldBatchNorm(Pass):
    """Rewrite every float32 batch norm of inference whose parameters are constants.

    The factor and the shift are computed in float64. The norm stays if one of them is no finite
    float32. That happens for a negative variance, or for a variance of 0 without an epsilon.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. Statistics that are no longer used are removed."""
        fold = _Fold(mod)
        changed = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in functions(mod):
            changed.update_func(name, relax.analysis.remove_all_unused(fold.visit_expr(function)))
        return changed
