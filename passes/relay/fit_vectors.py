"""Make vector loops and buffers suitable for the target's compiler.

C has no vectors, so its loops stay scalar, and C compilers vectorize them. If the host is C, LLVM
kernels need other buffers for their vectors. Knows no operator.
"""

import tvm
from tvm import te, tir
from tvm.target import Target


def for_c(target: Target) -> bool:
    """Whether the target's kernels are generated as C."""
    return target.kind.name == "c"


def under_c(target: Target) -> bool:
    """Whether the target's kernels run under a host in C, where TVM plans their memory.

    TVM counts a buffer of vectors as a buffer of as many scalars, so that the next buffer would
    begin inside it.
    """
    return target.host is not None and for_c(target.host) and not for_c(target)


def fit(body: tir.Stmt, target: Target) -> tir.Stmt:
    """The statement, not vectorized yet, with vector loops only if the target supports them."""
    if for_c(target):
        return tir.stmt_functor.ir_transform(body, None, _plain, ["tir.For"])
    return body


def fit_tensor(tensor: te.Tensor, target: Target) -> te.Tensor:
    """A tensor that is computed by statements, with loops and buffers suitable for the target."""
    op = tensor.op
    body = fit(op.body, target)
    if under_c(target):
        body = tir.stmt_functor.ir_transform(body, None, _of_scalars, ["tir.Allocate"])
    places = op.inputs, op.input_placeholders, op.output_placeholders
    new = te._ffi_api.ExternOp(op.name, op.tag, op.attrs, *places, body)
    return new.output(tensor.value_index)


def _plain(loop: tir.For) -> tir.For | None:
    if loop.kind != tir.ForKind.VECTORIZED:
        return None
    return tir.For(loop.loop_var, loop.min, loop.extent, tir.ForKind.SERIAL, loop.body)


def _of_scalars(made: tir.Allocate) -> tir.Allocate:
    """A buffer with a dummy read of a scalar element in front.

    The read keeps TVM from turning the buffer's elements into vectors, until it is removed as dead
    code.
    """
    buffer = tir.decl_buffer(made.extents, made.dtype, made.buffer_var.name, made.buffer_var)
    read = tir.Evaluate(tir.BufferLoad(buffer, [0] * len(made.extents)))
    body = tir.SeqStmt([read, made.body])
    return tir.Allocate(made.buffer_var, made.dtype, made.extents, made.condition, body)


def widen(body: tir.Stmt, target: Target) -> tir.Stmt:
    """Vectorized statements whose buffers are allocated in scalars, with their full size."""

    def scalars(made: tir.Allocate) -> tir.Allocate:
        extents = [*made.extents[:-1], made.extents[-1] * tvm.DataType(made.dtype).lanes]
        return tir.Allocate(made.buffer_var, made.dtype, extents, made.condition, made.body)

    if not under_c(target):
        return body
    return tir.stmt_functor.ir_transform(body, None, scalars, ["tir.Allocate"])
