"""Vector loops as plain ones, for the C target: C has no vectors, and its compilers find them.

Knows loops only, no operator.
"""

from tvm import te, tir
from tvm.target import Target


def has_vectors(target: Target) -> bool:
    """Whether TVM can write vectors down for this target."""
    return target.kind.name != "c"


def serial(body: tir.Stmt) -> tir.Stmt:
    """The statement with its vector loops made serial."""

    def plain(loop: tir.For) -> tir.For | None:
        if loop.kind != tir.ForKind.VECTORIZED:
            return None
        return tir.For(loop.loop_var, loop.min, loop.extent, tir.ForKind.SERIAL, loop.body)

    return tir.stmt_functor.ir_transform(body, None, plain, ["tir.For"])


def serial_tensor(tensor: te.Tensor) -> te.Tensor:
    """A tensor that statements compute, with their vector loops made serial."""
    op = tensor.op
    places = op.input_placeholders, op.output_placeholders
    fields = op.name, op.tag, op.attrs, op.inputs, *places, serial(op.body)
    return te._ffi_api.ExternOp(*fields).output(tensor.value_index)
