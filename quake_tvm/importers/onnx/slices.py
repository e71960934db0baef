"""ONNX's Slice in the cases where TVM computes no length or a wrong one.

These are: an axis of known length of which no element is kept; and an axis of unknown length that
is sliced backwards, or to nothing, or with start and end counted from different ends. TVM converts
all other slices.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import tvm
from tvm import relax, te, tirx

from ...kernels.index_check import Places, checked
from ...kernels.size_check import after
from .importer import Node

# The longest axis.
_FAR = 2**31 - 1
Extent: TypeAlias = int | tvm.ir.Expr


def _larger(a: Extent, b: int) -> Extent:
    return max(a, b) if isinstance(a, int) else tirx.max(a, tirx.const(b, "int64"))


def _smaller(a: Extent, b: Extent) -> Extent:
    both = isinstance(a, int) and isinstance(b, int)
    return min(a, b) if both else tirx.min(tirx.const(a, "int64") if isinstance(a, int) else a, b)


@dataclass(frozen=True)
class _Range:
    """The part of an axis that is kept. Backwards, ONNX starts at the first element or later."""

    start: int
    end: int
    step: int

    def is_plain(self, extent: Extent) -> bool:
        """Whether TVM computes the length right, for every extent that the axis may have."""
        if isinstance(extent, int):
            return self.step > 0 or self.start >= -extent
        whole_side = self.start in (0, -_FAR) or self.end == _FAR
        from_one_end = (self.start >= 0) == (self.end >= 0)
        return self.step > 0 and (whole_side or (from_one_end and self.start < self.end))

    def first(self, extent: Extent) -> Extent:
        """The index of the first element that is kept."""
        last = extent if self.step > 0 else extent - 1
        return _smaller(self._counted(self.start, extent, 0), last)

    def length(self, extent: Extent) -> Extent:
        """The number of elements that are kept."""
        last, before = (extent, 0) if self.step > 0 else (extent - 1, -1)
        end = _smaller(self._counted(self.end, extent, before), last)
        reach = (end - self.first(extent)) * (1 if self.step > 0 else -1)
        step = abs(self.step)
        return _larger((reach + (step - 1)) // step, 0)

    @staticmethod
    def _counted(place: int, extent: Extent, lowest: int) -> Extent:
        return place if place >= 0 else _larger(extent + place, lowest)


def slice_(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Slice with constant bounds where TVM cannot."""
    ranges = _ranges(node)
    if ranges is None:
        _check_axes(builder, node)
        return None
    extents = node.shape()
    lengths = [r.length(n) if r else n for r, n in zip(ranges, extents, strict=True)]
    if any(isinstance(n, int) and n == 0 for n in lengths):
        return relax.op.zeros(relax.ShapeExpr(lengths), node.dtype())
    if all(r is None or r.is_plain(n) for r, n in zip(ranges, extents, strict=True)):
        return None

    def kept(x: te.Tensor) -> te.Tensor:
        def element(*at: tirx.Var) -> tvm.ir.Expr:
            return x(*(_place(r, n, i) for r, n, i in zip(ranges, x.shape, at, strict=True)))

        shape = [
            r.length(getattr(n, "value", n)) if r else n
            for r, n in zip(ranges, x.shape, strict=True)
        ]
        return te.compute(
            [tirx.const(n, "int64") if isinstance(n, int) else n for n in shape], element
        )

    return builder.call_te(kept, node.inputs[0], primfunc_name_hint="slice")


def _check_axes(builder: relax.BlockBuilder, node: Node) -> None:
    """Check at run time that axes are in range and not repeated; TVM wraps axes out of range."""
    axes = node.input(3)
    if axes is None or not isinstance(axes.ty, relax.TensorType):
        return

    def twice(axes: te.Tensor) -> te.Tensor:
        count = int(axes.shape[0])
        pairs = [(i, j) for j in range(count) for i in range(j)]
        equal = [tirx.Cast("int64", axes(i) == axes(j)) for i, j in pairs]
        return te.compute([1], lambda _: sum(equal, tirx.const(0, "int64")), name="twice")

    axes = builder.emit(checked(axes, [len(node.shape())], Places.ENDS, node.operator))
    node.inputs[3] = axes
    if isinstance(axes.ty.shape, relax.ShapeExpr) and isinstance(axes.ty.shape[0], tirx.IntImm):
        again = builder.emit(builder.call_te(twice, axes))
        check = checked(again, [1], Places.FRONT, node.operator, problem="an axis is given twice")
        check = builder.emit(check)
        node.inputs[0] = after(builder, node.inputs[0], [check])


def _place(range_: _Range | None, extent: tvm.ir.Expr, at: tirx.Var) -> tvm.ir.Expr:
    if range_ is None:
        return at
    return at * range_.step + range_.first(getattr(extent, "value", extent))


def _ranges(node: Node) -> list[_Range | None] | None:
    """The kept part of each axis, None for a whole axis; None instead if computed at run time."""
    constants = (tvm.ir.GenericConst, relax.ShapeExpr, type(None))
    if (
        not all(isinstance(i, constants) for i in node.inputs[1:])
        or node.inputs[0].ty.shape is None
    ):
        return None
    if len(node.inputs) > 1:
        given: list[Any] = [node.constant(k) for k in range(1, 5)]
    else:
        given = [*(node.attributes.get(k) for k in ("starts", "ends", "axes")), None]
    starts, ends, axes, steps = given
    ranges: list[_Range | None] = [None] * len(node.shape())
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        start, end = (max(-_FAR, min(int(n), _FAR)) for n in (start, end))
        ranges[int(axis)] = _Range(start, end, max(-_FAR, min(int(step), _FAR)))
    return ranges
