"""Say of functions with a single tensor or pointer that no other overlaps it.

TVM's code generator treats all functions of a module like the last one by name. In a module with
symbolic sizes this is often ``shape_func``, which TVM makes without the attribute. Then no kernel
could keep its accumulators in registers.
"""

import tvm

from quake_tvm.tvm_version import Pass, tir, updated

NO_ALIAS = "tirx.noalias"


@tvm.transform.module_pass(opt_level=0, name="RestrictPointers")
class RestrictPointers(Pass):
    """Set the attribute of functions with at most one of them. Others keep what they say."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Change the functions."""
        updates = {
            name: function.with_attr(NO_ALIAS, True)
            for name, function in mod.functions_items()
            if isinstance(function, tir.PrimFunc) and _pointers(function) <= 1
        }
        return updated(mod, updates)


def _pointers(function: tir.PrimFunc) -> int:
    return sum(not isinstance(parameter.ty, tvm.ir.PrimType) for parameter in function.params)
