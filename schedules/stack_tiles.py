"""Keep the tiles of kernels on the stack, where LLVM turns them into registers.

TVM's lowering takes buffers of scope ``local``, and others of 1 KiB or more, from a pool of
workspaces. That is two calls for each tile, and the tile's elements pass through memory. So small
workspaces of constant size become stack allocations again. This runs in front of TVM's code
generator, because TVM's passes rewrite all that is allocated earlier. Knows no rule.
"""

from typing import Any

import tvm
import tvm_ffi

from quake_tvm.tvm_version import PREFIX, Call, replace_build, tir, updated

# The most bytes of a buffer on the stack. AVX-512's registers hold 2 KiB.
MOST = 4096


def on_stack(mod: tvm.IRModule, _: tvm.target.Target) -> tvm.IRModule:
    """Move the small workspaces of a lowered module's functions to the stack."""
    return updated(
        mod,
        {
            name: function.with_body(_on_stack(function.body))
            for name, function in mod.functions.items()
            if isinstance(function, tir.PrimFunc)
        },
    )


def _on_stack(body: tir.Stmt) -> tir.Stmt:
    small: list[tir.Buffer] = []

    def see(node: tir.DeclBuffer) -> None:
        if _is(node.data, "TVMBackendAllocWorkspace"):
            size = node.data.args[2]
            if isinstance(size, tir.IntImm) and int(size) <= MOST:
                small.append(node.buffer)

    def allocate(node: tir.DeclBuffer) -> tir.Stmt:
        return tir.AllocBuffer(node.buffer) if any(map(node.buffer.same_as, small)) else node

    def check(node: tir.IfThenElse) -> tir.Stmt:
        """The workspace is checked when it is taken, and given back in a condition."""
        call = node.condition.a if isinstance(node.condition, tir.NE) else node.condition
        if not _is(call, "TVMBackendFreeWorkspace") and not _is(call, "isnullptr"):
            return node
        data = call.args[-1]
        moved = _is(data, "buffer_data") and any(map(data.args[0].same_as, small))
        return tir.Evaluate(0) if moved else node

    tvm_ffi.structural_walk(body, (tir.DeclBuffer, see))
    if not small:
        return body
    body = tvm_ffi.structural_map(body, (tir.IfThenElse, check))
    return tvm_ffi.structural_map(body, (tir.DeclBuffer, allocate))


def _is(expr: Any, name: str) -> bool:
    """Whether an expression is a call of one of TVM's intrinsics."""
    return (
        isinstance(expr, Call) and isinstance(expr.op, tvm.ir.Op) and expr.op.name == PREFIX + name
    )


replace_build("llvm", on_stack)
