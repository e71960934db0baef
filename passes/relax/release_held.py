"""Replace held tensors by the tensors themselves, once the order of calls is final.

A held tensor depends on checks, which keeps the checks in front of its uses. From here on nothing
moves or drops a kernel, so the order of the bindings is enough.
"""

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.kernels.size_check import HELD
from quake_tvm.tvm_version import Pass, updated

from .graph import functions, op_name


@mutator
class _Releaser(PyExprMutator):
    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        if op_name(binding.value) == HELD:
            binding = relax.VarBinding(binding.var, binding.value.args[0])
        super().visit_var_binding_(binding)


def _holds(function: relax.Function) -> bool:
    found = []
    relax.analysis.post_order_visit(function, lambda e: found.append(op_name(e) == HELD))
    return any(found)


@tvm.transform.module_pass(opt_level=0, name="ReleaseHeld")
class ReleaseHeld(Pass):
    """Replace held tensors. A module without any is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        updates = {
            name: _Releaser(mod).visit_expr(function)
            for name, function in functions(mod)
            if _holds(function)
        }
        return updated(mod, updates)
