"""ONNX's Range with bounds computed at run time. A step of 0 or too many elements ends the run.

TVM divides by the step even if it is 0, and the difference of two integers may exceed 64 bits.
"""

import tvm
from tvm import relax, te, tirx

from ...kernels.index_check import Places, checked
from .elements import Quotient
from .extents import Extent, Extents, expression
from .node import Node

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
    dtype = _dtype(node)
    bounds = [_whole_number(node, k) for k in range(3)]
    if None not in bounds and isinstance(bounds[2], int):
        return _of_extents(builder, node.extents, bounds, dtype)
    tensors = [node.tensor(builder, k) for k in range(3)]
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


def _dtype(node: Node) -> str:
    known = node.known[0]
    return node.dtype() if known is None else str(known.dtype)


def _whole_number(node: Node, index: int) -> Extent | None:
    """A bound that is an integer and known; None for any other."""
    known = node.numbers(index)
    if known is None:
        return None
    (value,) = known
    if isinstance(value, Quotient):
        return value.top if value.bottom == 1 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


def _of_extents(
    builder: relax.BlockBuilder, extents: Extents, bounds: list[Extent], dtype: str
) -> relax.Expr:
    """A range whose length follows from extents."""
    start, limit, step = bounds
    length = extents.count(start, limit, step)

    def elements(start: tvm.ir.Expr, shape: list[tvm.ir.Expr]) -> te.Tensor:
        return te.compute(shape, lambda k: tirx.Cast(dtype, start + k * step), name="range")

    sizes = [expression(length)]
    return builder.call_te(elements, expression(start), sizes, primfunc_name_hint="range")


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
