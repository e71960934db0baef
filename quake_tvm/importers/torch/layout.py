"""Operators that only move elements: views, slices, concatenations."""

import math
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.ir.expr import GenericConst

from ...kernels.size_check import equal
from .converter import Context, axis_of, converts, dims, dtype_of, same_size

op = relax.op
_OUTSIDE = "the dimension has too few elements"


def _reshaped(c: Context, x: relax.Expr, shape: list[Any]) -> relax.Expr:
    if _equal(dims(x), shape):
        return x
    if 0 in shape:  # relax.reshape reads a 0 as "copy the extent"
        return c.emit(op.full(shape, relax.const(0, c.dtype), c.dtype))
    return c.emit(op.reshape(x, shape))


def _equal(shape: list[Any], other: list[Any]) -> bool:
    return len(shape) == len(other) and all(
        same_size(a, b) for a, b in zip(shape, other, strict=True)
    )


@converts("view.default", "reshape.default", "_unsafe_view.default")
def _view(c: Context, self: relax.Expr, size: Any) -> relax.Expr:
    return _reshaped(c, self, c.shape)


@converts("view.dtype")
def _view_dtype(c: Context, self: relax.Expr, dtype: Any) -> relax.Expr:
    raise c.refuse("(bits of one dtype as another)")


@converts("expand.default")
def _expand(c: Context, self: relax.Expr, size: Any) -> relax.Expr:
    if _equal(dims(self), c.shape):
        return self
    return c.emit(op.broadcast_to(self, relax.ShapeExpr(c.shape)))


@converts("permute.default")
def _permute(c: Context, self: relax.Expr, dims: list[int]) -> relax.Expr:
    return c.emit(op.permute_dims(self, [axis_of(d, len(dims)) for d in dims]))


@converts("squeeze.dims", "squeeze.dim", "squeeze.default")
def _squeeze(c: Context, self: relax.Expr, dim: Any = None) -> relax.Expr:
    return _reshaped_or_squeezed(c, self, dim)


def _reshaped_or_squeezed(c: Context, x: relax.Expr, dim: Any) -> relax.Expr:
    shape = dims(x)
    named = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [a for a in (axis_of(d, len(shape)) for d in named) if shape and shape[a] == 1]
    return c.emit(op.squeeze(x, axes)) if axes else x


@converts("unsqueeze.default")
def _unsqueeze(c: Context, self: relax.Expr, dim: int) -> relax.Expr:
    return c.emit(op.expand_dims(self, axis_of(dim, len(c.shape))))


@converts("select.int")
def _select(c: Context, self: relax.Expr, dim: int, index: Any) -> relax.Expr:
    shape = dims(self)
    axis = axis_of(dim, len(shape))
    if isinstance(index, int) and index < 0:
        index = shape[axis] + index
    if isinstance(index, int):
        return c.emit(op.take(self, relax.const(index, "int64"), axis))
    within = [(0, index), (index + 1, shape[axis])]
    x = c.hold(self, within, "there is no such element")

    # The kernel has its own symbolic variables, so sizes are passed as arguments.
    def select(x: te.Tensor, index: Any, shape: list[Any]) -> te.Tensor:
        return te.compute(shape, lambda *i: x(*i[:axis], index, *i[axis:]), name="select")

    return c.kernel("select", select, x, index, list(c.shape))


@converts("slice.Tensor")
def _slice(c: Context, self: relax.Expr, dim: int, start: Any, end: Any, step: Any) -> relax.Expr:
    shape = dims(self)
    axis = axis_of(dim, len(shape))
    if _equal(shape, c.shape) and step == 1:
        return self
    if not isinstance(step, int):
        raise c.refuse("with a step that is no number")
    return _cut(c, self, axis, _bound(c, start, shape[axis]), c.shape[axis], step)


def _cut(c: Context, x: relax.Expr, axis: int, begin: Any, length: Any, step: int) -> relax.Expr:
    """``length`` elements of a dimension from ``begin`` on, at intervals of ``step``."""
    shape = dims(x)
    if _known(begin, length, shape[axis]):
        stop = begin + (length - 1) * step + 1 if length else begin
        return c.emit(op.strided_slice(x, [axis], [begin], [stop], [step]))
    x = c.hold(x, [(begin + (length - 1) * step + 1, shape[axis])], _OUTSIDE)
    shape[axis] = length

    def slice_(x: te.Tensor, begin: Any, shape: list[Any]) -> te.Tensor:
        return te.compute(
            shape,
            lambda *i: x(*i[:axis], begin + i[axis] * step, *i[axis + 1 :]),
            name="slice",
        )

    return c.kernel("slice", slice_, x, begin, shape)


def _known(*values: Any) -> bool:
    return all(isinstance(value, int) for value in values)


def _bound(c: Context, bound: Any, size: Any) -> Any:
    """The start of a slice as an index in [0, size], by Python's rules."""
    if bound is None:
        return 0
    if _known(bound, size):
        return min(max(bound + size if bound < 0 else bound, 0), size)
    if not isinstance(bound, int):
        return tirx.max(0, tirx.min(tirx.Select(bound < 0, bound + size, bound), size))
    return tirx.max(bound + size, 0) if bound < 0 else tirx.min(bound, size)


@converts("slice_scatter.default")
def _slice_scatter(
    c: Context, self: relax.Expr, src: relax.Expr, dim: int, start: Any, end: Any, step: Any
) -> relax.Expr:
    shape = dims(self)
    axis = axis_of(dim, len(shape))
    if not isinstance(step, int):
        raise c.refuse("with a step that is no number")
    begin, length = _bound(c, start, shape[axis]), dims(src)[axis]
    if same_size(length, shape[axis]):
        return c.emit(op.broadcast_to(c.cast(src, c.dtype), relax.ShapeExpr(c.shape)))
    if _known(length) and not length:
        return self
    wanted = _bound(c, end, shape[axis]) - begin if end is not None else shape[axis] - begin
    wanted = tirx.max(tirx.const(0, "int64") + (wanted + (step - 1)) // step, 0)
    src = c.hold(c.cast(src, c.dtype), equal(length, wanted), "the part has another size")

    def scatter(x: te.Tensor, y: te.Tensor, begin: Any, length: Any) -> te.Tensor:
        def element(*i: Any) -> Any:
            offset = i[axis] - begin
            inside = tirx.all(offset >= 0, offset < length * step)
            inside = tirx.all(inside, tirx.floormod(offset, step) == 0)
            row = tirx.max(tirx.min(tirx.floordiv(offset, step), length - 1), 0)
            return tirx.if_then_else(inside, y(*i[:axis], row, *i[axis + 1 :]), x(*i))

        return te.compute(x.shape, element, name="slice_scatter")

    return c.kernel("slice_scatter", scatter, self, src, begin, length)


@converts("cat.default")
def _cat(c: Context, tensors: list[relax.Expr], dim: int) -> relax.Expr:
    # torch allows an empty vector among tensors of any shape.
    parts = [c.cast(x, c.dtype) for x in tensors if dims(x) != [0]]
    if not parts:
        return c.emit(op.full(c.shape, relax.const(0, c.dtype), c.dtype))
    if len(parts) == 1:
        return parts[0]
    axis = axis_of(dim, len(c.shape))
    fitting = [c.fit(x, [*c.shape[:axis], dims(x)[axis], *c.shape[axis + 1 :]]) for x in parts]
    return c.emit(op.concat(fitting, axis))


@converts("split_with_sizes.default")
def _split(c: Context, self: relax.Expr, split_sizes: list[Any], dim: int) -> list[relax.Expr]:
    axis = axis_of(dim, len(dims(self)))
    if len(split_sizes) == 1:
        return [self]
    ends = [sum(split_sizes[: k + 1]) for k in range(len(split_sizes))]
    self = c.hold(self, equal(ends[-1], dims(self)[axis]), "the parts are not the whole")
    if not _known(*ends, dims(self)[axis]):
        begins = [0, *ends]
        return [_cut(c, self, axis, b, n, 1) for b, n in zip(begins, split_sizes, strict=False)]
    cuts = ends[:-1]
    if isinstance(self, GenericConst):  # parts of weights are weights
        parts = np.split(self.value.numpy(), cuts, axis)
        return [relax.const(part, dtype_of(self)) for part in parts]
    parts = c.emit(op.split(self, cuts, axis))
    return [c.emit(relax.TupleGetItem(parts, k)) for k in range(len(split_sizes))]


@converts("flip.default")
def _flip(c: Context, self: relax.Expr, dims: list[int]) -> relax.Expr:
    for axis in {axis_of(d, len(c.shape)) for d in dims} if c.shape else ():
        self = c.emit(op.flip(self, axis))
    return self


@converts("repeat.default")
def _repeat(c: Context, self: relax.Expr, repeats: list[Any]) -> relax.Expr:
    shape = [1] * (len(repeats) - len(dims(self))) + dims(self)
    if not repeats:
        return self
    if 0 in c.shape:
        return c.full(c.shape, 0, c.dtype)

    def repeated(x: te.Tensor) -> te.Tensor:
        skipped = len(shape) - len(x.shape)

        def element(*i: Any) -> Any:
            at = [tirx.floormod(index, n) for index, n in zip(i, shape, strict=True)]
            return x(*at[skipped:])

        return te.compute(c.shape, element, name="repeat")

    if _known(*repeats):
        return c.emit(op.tile(self, repeats))
    return c.kernel("repeat", repeated, self)


@converts("diagonal.default")
def _diagonal(c: Context, self: relax.Expr, offset: int, dim1: int, dim2: int) -> relax.Expr:
    rank = len(dims(self))
    first, second = axis_of(dim1, rank), axis_of(dim2, rank)

    def diagonal(x: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            others, k = list(i[:-1]), i[-1]
            at = [
                k + max(-offset, 0)
                if axis == first
                else k + max(offset, 0)
                if axis == second
                else others.pop(0)
                for axis in range(rank)
            ]
            return x(*at)

        return te.compute(c.shape, element, name="diagonal")

    return c.kernel("diagonal", diagonal, self)


@converts("as_strided.default", "as_strided_copy.default")
def _as_strided(
    c: Context, self: relax.Expr, size: Any, stride: list[Any], storage_offset: Any
) -> relax.Expr:
    fake = c.fakes["self"]
    offset = storage_offset or 0
    numbers = (*dims(self), *c.shape, *stride, offset)
    if not fake.is_contiguous() or fake.storage_offset() or not _known(*numbers):
        raise c.refuse("of a tensor that does not fill its memory in order")
    count = math.prod(dims(self))
    last = offset + sum((n - 1) * step for n, step in zip(c.shape, stride, strict=True))
    if 0 not in c.shape and last >= count:  # the memory of which the tensor is a part
        raise c.refuse("beyond the elements of its tensor")
    flat = _reshaped(c, self, [count])

    def strided(x: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            return x(sum((index * s for index, s in zip(i, stride, strict=True)), offset))

        return te.compute(c.shape, element, name="as_strided")

    return c.kernel("as_strided", strided, flat)


@converts("unfold.default")
def _unfold(c: Context, self: relax.Expr, dimension: int, size: int, step: int) -> relax.Expr:
    if not dims(self):
        return _reshaped(c, self, c.shape)
    axis = axis_of(dimension, len(dims(self)))
    self = c.hold(self, [(size, dims(self)[axis])], _OUTSIDE)

    def unfold(x: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            *at, inside = i
            at[axis] = at[axis] * step + inside
            return x(*at)

        return te.compute(c.shape, element, name="unfold")

    return c.kernel("unfold", unfold, self)
