"""Vectors as the target's compiler needs them, in statements that are not vectorized yet.

C has no vectors, so its loops stay plain, and C compilers vectorize them. On 32-bit ARM it is the
other way round: TVM leaves loops with ``fma`` or ``reinterpret`` to LLVM, which vectorizes nothing
there that it cannot prove NEON right for, denormals included; TVM itself does not ask. On every
other target LLVM does better than TVM. Knows no operator.
"""

from collections.abc import Callable

import tvm
from tvm import te, tir
from tvm.target import Target

from quake_tvm.generation import PREFIX, register_op, replace_calls


def for_c(target: Target) -> bool:
    """Whether the target's kernels become C."""
    return target.kind.name == "c"


def under_c(target: Target) -> bool:
    """Whether the target's kernels stand under a host in C, where TVM plans their memory.

    It takes a buffer of vectors for one of as many scalars, and the next buffer begins inside it.
    """
    return target.host is not None and for_c(target.host) and not for_c(target)


def fit(body: tir.Stmt, target: Target) -> tir.Stmt:
    """The statement as it is best vectorized for the target, or not at all."""
    if for_c(target):
        return tir.stmt_functor.ir_transform(body, None, _plain, ["tir.For"])
    if str(target.attrs.get("mtriple", "")).startswith("arm"):
        return replace_calls(body, _vectorizable)
    return body


def fit_tensor(tensor: te.Tensor, target: Target) -> te.Tensor:
    """A tensor of one operation whose loops or formula fit the target."""
    op = tensor.op
    if isinstance(op, te.ExternOp):
        body = fit(op.body, target)
        if under_c(target):
            body = tir.stmt_functor.ir_transform(body, None, _of_scalars, ["tir.Allocate"])
        places = op.inputs, op.input_placeholders, op.output_placeholders
        new = te._ffi_api.ExternOp(op.name, op.tag, op.attrs, *places, body)
    else:
        body = [fit(tir.Evaluate(expr), target).value for expr in op.body]
        new = te._ffi_api.ComputeOp(op.name, op.tag, op.attrs, op.axis, body)
    return new.output(tensor.value_index)


def _plain(loop: tir.For) -> tir.For | None:
    if loop.kind != tir.ForKind.VECTORIZED:
        return None
    return tir.For(loop.loop_var, loop.min, loop.extent, tir.ForKind.SERIAL, loop.body)


def _of_scalars(made: tir.Allocate) -> tir.Allocate:
    """A buffer that keeps scalars for its elements because one is read, to no end, for a while."""
    buffer = tir.decl_buffer(made.extents, made.dtype, made.buffer_var.name, made.buffer_var)
    read = tir.Evaluate(tir.BufferLoad(buffer, [0] * len(made.extents)))
    body = tir.SeqStmt([read, made.body])
    return tir.Allocate(made.buffer_var, made.dtype, made.extents, made.condition, body)


def widen(body: tir.Stmt, target: Target) -> tir.Stmt:
    """Vectorized statements whose buffers are as large as they are, however TVM counts."""

    def scalars(made: tir.Allocate) -> tir.Allocate:
        extents = [*made.extents[:-1], made.extents[-1] * tvm.DataType(made.dtype).lanes]
        return tir.Allocate(made.buffer_var, made.dtype, extents, made.condition, made.body)

    if not under_c(target):
        return body
    return tir.stmt_functor.ir_transform(body, None, scalars, ["tir.Allocate"])


def _vector_form(name: str, lower: Callable[[tir.Call], tir.PrimExpr]) -> tvm.ir.Op:
    """An intrinsic that TVM vectorizes, lowered to one that it does not."""
    op = register_op(f"{PREFIX}quake_vector_{name}", f"{name}, also of vectors")
    if op.get_attr("TVectorizable") is None:
        tvm.ir.register_op_attr(op.name, "TVectorizable", True)
        tvm.ir.register_op_attr(op.name, "TCallEffectKind", tir.CallEffectKind.Pure)
        tvm.ir.register_intrin_lowering(op.name, target="default", f=lower)
    return op


def llvm_fma(call: tir.Call) -> tir.PrimExpr:
    """LLVM's own fma."""
    count = tir.const(len(call.args), "uint32")
    return tir.call_llvm_pure_intrin(call.dtype, "llvm.fmuladd", count, *call.args)


_VECTORIZABLE = {
    PREFIX + "fma": _vector_form("fma", llvm_fma),
    PREFIX + "reinterpret": _vector_form(
        "reinterpret", lambda call: tir.reinterpret(call.dtype, *call.args)
    ),
}


def _vectorizable(call: tir.Call) -> tir.Call | None:
    op = _VECTORIZABLE.get(call.op.name) if isinstance(call.op, tvm.ir.Op) else None
    return tir.Call(call.dtype, op, call.args) if op else None
