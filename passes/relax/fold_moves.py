"""Move the elements of constants with NumPy: transposes, and changes of the shape.

TVM's FoldConstant compiles a kernel for each. A network of convolutions has hundreds of constants
to transpose, and took longer for them than for its own kernels.
"""

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass, tir

from .graph import functions, op_name

_MOVES = {"relax.permute_dims", "relax.reshape", "relax.expand_dims", "relax.squeeze"}


@mutator
class _Fold(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Replace a move of a constant by the moved constant."""
        call = super().visit_call_(call)
        if op_name(call) not in _MOVES:
            return call
        value = call.args[0]
        if isinstance(value, relax.Var):
            value = self.lookup_binding(value)
        shape = call.ty.shape
        static = shape is not None and all(isinstance(n, tir.IntImm) for n in shape)
        if not isinstance(value, tvm.ir.GenericConst) or not static:
            return call
        array = value.value.numpy()
        if op_name(call) == "relax.permute_dims":
            axes = call.attrs.axes
            moved = np.transpose(array, None if axes is None else [int(a) for a in axes])
        else:
            moved = array.reshape([int(n) for n in shape])
        return relax.const(np.ascontiguousarray(moved), str(call.ty.dtype))


@tvm.transform.module_pass(opt_level=0, name="FoldMoves")
class FoldMoves(Pass):
    """Fold such operators. Nothing else is changed, but for bindings that are no longer used."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        fold = _Fold(mod)
        for name, function in list(functions(mod)):
            done = relax.analysis.remove_all_unused(fold.visit_expr(function))
            fold.builder_.update_func(name, done)
        return fold.builder_.get()
