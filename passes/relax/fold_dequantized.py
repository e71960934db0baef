"""Dequantizations of constants, and reshapes of constants, are computed.

This must follow the recognition of integer products, which read the integers.
"""

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass, tir

from .graph import dtype, known_shape, op_name
from .quantized import constant, rewritten


@mutator
class _Fold(PyExprMutator):
    def _known(self, expr: relax.Expr) -> np.ndarray | None:
        """The value of a constant, or of a variable that is bound to one."""
        value = self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr
        return constant(value)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if op_name(call) == "relax.reshape" and known_shape(call):
            values = self._known(call.args[0])
            if values is None or not all(isinstance(n, tir.IntImm) for n in call.ty.shape):
                return call
            moved = values.reshape([*map(int, call.ty.shape)])
            return relax.const(moved, dtype(call))
        if op_name(call) != "relax.dequantize" or str(call.attrs.out_dtype) != "float32":
            return call
        values, scale, zero = map(constant, call.args)
        if values is None or scale is None or zero is None or dtype(call.args[1]) != "float32":
            return call
        if values.dtype.kind not in "iu":
            return call
        along = [1] * values.ndim
        if values.ndim:
            along[int(call.attrs.axis)] = -1

        def spread(parameters: np.ndarray) -> np.ndarray:
            return parameters.reshape([] if parameters.size == 1 else along)

        shifted = values.astype(np.int32) - spread(zero).astype(np.int32)
        return relax.const(np.asarray(shifted.astype(np.float32) * spread(scale)))


@tvm.transform.module_pass(opt_level=0, name="FoldDequantized")
class FoldDequantized(Pass):
    """Replace dequantizations of constant integers by their real values."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. Constants become the operands of what reads them."""
        folded = rewritten(mod, "relax.dequantize", _Fold)
        return mod if folded is mod else relax.transform.CanonicalizeBindings()(folded)
