"""Scopes that TVM's kernels are written in, taken off: its code generator warns of them.

``seq_scope`` of TVM's builder leaves a pragma around what it has put in sequence. Nobody reads it.
"""

import tvm
import tvm_ffi

from quake_tvm.tvm_version import Pass, tir, updated

_SCOPE = "pragma_scope"


def _inside(statement: tir.AttrStmt) -> tir.Stmt:
    return statement.body if statement.attr_key == _SCOPE else statement


@tvm.transform.module_pass(opt_level=0, name="DropScopes")
class DropScopes(Pass):
    """Drop them; kernels without any stay as they are."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite."""
        updates = {}
        for name, function in mod.functions_items():
            if isinstance(function, tir.PrimFunc):
                body = tvm_ffi.structural_map(function.body, [(tir.AttrStmt, _inside)])
                if not body.same_as(function.body):
                    updates[name] = function.with_body(body)
        return updated(mod, updates)
