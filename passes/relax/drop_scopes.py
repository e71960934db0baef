"""Remove the scope pragmas of TVM's kernels, because TVM's code generator warns about them.

``seq_scope`` of TVM's builder leaves a pragma around the statements that it puts in sequence.
Nothing reads this pragma.
"""

import tvm
import tvm_ffi

from quake_tvm.tvm_version import Pass, tir, updated

_SCOPE = "pragma_scope"


def _inside(statement: tir.AttrStmt) -> tir.Stmt:
    return statement.body if statement.attr_key == _SCOPE else statement


@tvm.transform.module_pass(opt_level=0, name="DropScopes")
class DropScopes(Pass):
    """Remove the pragmas. Kernels without any are unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the kernels."""
        updates = {}
        for name, function in mod.functions_items():
            if isinstance(function, tir.PrimFunc):
                body = tvm_ffi.structural_map(function.body, [(tir.AttrStmt, _inside)])
                if not body.same_as(function.body):
                    updates[name] = function.with_body(body)
        return updated(mod, updates)
