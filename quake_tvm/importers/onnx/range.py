"""ONNX's Range with bounds computed at run time. A step of 0 or too many elements ends the run.

TVM divides by the step even if it is 0, and the difference of two integers may exceed 64 bits.
"""

from typing import Any

import tvm
from tvm import relax, te, tirx

from ...kernels.index_check import Places, checked
from .importer import Node

# The most elements of a result: far more than fit into memory.
_MOST = 2**40


def range_(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Range. Constants are left to TVM's importer.

    Raises
    ------
    QuakeError
        For a constant step of 0.
    """
    if isinstance(node.inputs[2], tvm.ir.GenericConst) and not node.required(2).any():
        raise node.refuse("a step of 0")
    if all(isinstance(value, tvm.ir.GenericConst) for value in node.inputs):
        return None
    tensors = [_tensor(builder, value) for value in node.inputs]
    dtype = str(tensors[0].ty.dtype)
    count = _whole if "int" in dtype else _real

    def counted(start: te.Tensor, limit: te.Tensor, step: te.Tensor) -> te.Tensor:
        return te.compute(
            [1],
            lambda _: count(*(x(*[0] * len(x.shape)) for x in (start, limit, step))),
            name="count",
        )

    number = builder.emit_te(counted, *tensors, primfunc_name_hint="range_count")
    problem = f"a step of 0, or more than 2^{_MOST.bit_length() - 1} elements"
    number = builder.emit(
        checked(number, [_MOST + 1], Places.FRONT, node.operator, problem=problem)
    )
    length = tirx.Var("length", "int64")
    builder.match_cast(builder.emit(relax.op.tensor_to_shape(number)), relax.ShapeType([length]))
    places = builder.emit(relax.op.arange(0, length, 1, "int64"))
    places = builder.emit(relax.op.astype(places, dtype))
    return relax.op.add(relax.op.multiply(places, tensors[2]), tensors[0])


def _tensor(builder: relax.BlockBuilder, value: Any) -> relax.Expr:
    """A bound as a scalar tensor; the importer keeps extents as sizes."""
    if isinstance(getattr(value, "ty", None), relax.TensorType):
        return value
    size = builder.emit(relax.op.shape_to_tensor(relax.ShapeExpr([value])))
    return builder.emit(relax.op.reshape(size, []))


def _whole(start: tirx.Expr, limit: tirx.Expr, step: tirx.Expr) -> tirx.Expr:
    """The number of integers: -1 for a step of 0, and at most ``_MOST`` + 1."""
    start, limit, step = (tirx.Cast("int64", value) for value in (start, limit, step))
    up, one = step > 0, tirx.const(1, "uint64")
    first, last = tirx.Select(up, start, limit), tirx.Select(up, limit, start)
    way = tirx.max(_ordered(last) - _ordered(first), one)
    down = tirx.Cast("uint64", -(tirx.min(step, -1) + 1)) + one
    size = tirx.Select(up, tirx.Cast("uint64", tirx.max(step, 1)), down)
    steps = tirx.min(tirx.div(way - one, size), tirx.const(_MOST, "uint64"))
    number = tirx.Select(first < last, tirx.Cast("int64", steps) + 1, tirx.const(0, "int64"))
    return tirx.Select(step == 0, tirx.const(-1, "int64"), number)


def _ordered(value: tirx.Expr) -> tirx.Expr:
    """An unsigned number in the order of the signed ones, so that differences do not overflow."""
    return tirx.Cast("uint64", tirx.bitwise_xor(value, tirx.min_value("int64")))


def _real(start: tirx.Expr, limit: tirx.Expr, step: tirx.Expr) -> tirx.Expr:
    """The number of floats: -1 for a step of 0, for too many, and if a bound is NaN."""
    way = tirx.Cast("float64", limit - start)
    number = tirx.ceil(way / tirx.Cast("float64", step))
    fits = tirx.all(step != tirx.const(0, str(step.ty.dtype)), number <= float(_MOST))
    number = tirx.Select(fits, tirx.max(number, 0.0), tirx.const(-1.0, "float64"))
    return tirx.Cast("int64", number)
