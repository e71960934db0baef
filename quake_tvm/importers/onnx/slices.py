"""ONNX's Slice with known bounds, in the cases where TVM computes no length or a wrong one.

These are: an axis of known length of which no element is kept; an axis of unknown length; and
bounds that vary with the extents. TVM converts all other slices.
"""

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax, te, tirx

from ...kernels.index_check import Places, checked
from ...kernels.size_check import after
from .extents import FAR, Extent, Extents, expression
from .node import Node


@dataclass(frozen=True)
class Range:
    """The part of an axis that is kept. Backwards, ONNX starts at the first element or later."""

    start: Extent
    end: Extent
    step: int

    def is_plain(self, extent: Extent) -> bool:
        """Whether TVM computes the length right."""
        ends = isinstance(self.start, int) and isinstance(self.end, int)
        return ends and isinstance(extent, int) and (self.step > 0 or self.start >= -extent)

    def first(self, extent: Extent, extents: Extents) -> Extent:
        """The index of the first element that is kept."""
        last = extent if self.step > 0 else extent - 1
        return extents.least(_counted(self.start, extent, 0, extents), last)

    def length(self, extent: Extent, extents: Extents) -> Extent:
        """The number of elements that are kept."""
        last, before = (extent, 0) if self.step > 0 else (extent - 1, -1)
        end = extents.least(_counted(self.end, extent, before, extents), last)
        return extents.count(self.first(extent, extents), end, self.step)


def _counted(place: Extent, extent: Extent, lowest: int, extents: Extents) -> Extent:
    """A place, which counts from the end if it is negative, counted from the front."""
    negative = extents.decided(place < 0)
    if negative is False:
        return place
    from_end = extents.most(extents.simplify(extent + place), lowest)
    if negative:
        return from_end
    return tirx.Select(place < 0, expression(from_end), place)


def slice_(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Slice with known bounds where TVM cannot.

    Raises
    ------
    QuakeError
        For a constant step of 0.
    """
    if any(isinstance(n, int) and n == 0 for n in node.numbers(4) or ()):
        raise node.refuse("a step of 0")
    ranges = _ranges(node)
    if ranges is None:
        _check_axes(builder, node)
        return None
    shape = node.shape()
    lengths = [r.length(n, node.extents) if r else n for r, n in zip(ranges, shape, strict=True)]
    if any(isinstance(n, int) and n == 0 for n in lengths):
        return relax.op.zeros(relax.ShapeExpr(lengths), node.dtype())
    if all(r is None or r.is_plain(n) for r, n in zip(ranges, shape, strict=True)):
        return None
    if _keep_all(ranges, lengths, node):
        return node.inputs[0]
    within = [
        (r.end, n)
        for r, n in zip(ranges, shape, strict=True)
        if r is not None and isinstance(n, int) and node.extents.is_limited(r.end, n)
    ]
    node.require(builder, within, "more elements than the axis has")
    return kept(builder, node, ranges, lengths)


def _keep_all(ranges: list[Range | None], lengths: list[Extent], node: Node) -> bool:
    """Whether all elements are kept in their order."""
    each = zip(ranges, lengths, node.shape(), strict=True)
    return all(r is None or (r.step == 1 and node.extents.same(k, n)) for r, k, n in each)


def kept(
    builder: relax.BlockBuilder, node: Node, ranges: list[Range | None], lengths: list[Extent]
) -> relax.Expr:
    """The part of the first input that the ranges keep, one for each axis."""
    firsts = [
        expression(r.first(n, node.extents) if r else 0)
        for r, n in zip(ranges, node.shape(), strict=True)
    ]
    steps = [r.step if r else 1 for r in ranges]

    def part(x: te.Tensor, firsts: list[tvm.ir.Expr], shape: list[tvm.ir.Expr]) -> te.Tensor:
        def element(*at: tirx.Var) -> tvm.ir.Expr:
            return x(*(i * s + f for i, s, f in zip(at, steps, firsts, strict=True)))

        return te.compute(shape, element)

    shape = [expression(n) for n in lengths]
    return builder.call_te(part, node.inputs[0], firsts, shape, primfunc_name_hint="slice")


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


def _ranges(node: Node) -> list[Range | None] | None:
    """The kept part of each axis, None for a whole axis; None instead if computed at run time."""
    if node.inputs[0].ty.shape is None:
        return None
    given: list[Any] = [node.numbers(k) for k in range(1, 5)]
    if any(node.input(k) is not None and g is None for k, g in enumerate(given, 1)):
        return None
    if len(node.inputs) == 1:
        given = [*(node.attributes.get(k) for k in ("starts", "ends", "axes")), None]
    starts, ends, axes, steps = given
    ranges: list[Range | None] = [None] * len(node.shape())
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not all(isinstance(n, int) for n in (*axes, *steps)):
        return None
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        ranges[axis] = Range(_near(start), _near(end), _near(step))
    return ranges


def _near(place: Extent) -> Extent:
    # Backwards, an axis of FAR elements ends before the first one: at -FAR - 1 from its end.
    return max(-FAR - 1, min(place, FAR)) if isinstance(place, int) else place
