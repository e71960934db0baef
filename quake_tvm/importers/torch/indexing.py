"""Operators that read and write at indices that are data.

An index out of range ends the run, as in torch. Only indexing with brackets counts negative indices
from the end.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from ...kernels.index_check import CHECKED, Places, checked
from ...kernels.write_along import WRITE_ALONG, write_along
from .changed_buffers import IN_PLACE
from .converter import HALF, Context, axis_of, converts, dims, dtype_of, is_float

op = relax.op


def held(c: Context, index: relax.Expr, size: Any, places: Places) -> relax.Expr:
    """A checked index tensor, counted from the front. An index out of range ends the run."""
    if size == 0 and 0 not in dims(index):
        raise c.refuse("along a dimension without elements")
    return c.emit(checked(index, [size], places, c.user))


@converts("embedding.default")
def _embedding(
    c: Context,
    weight: relax.Expr,
    indices: relax.Expr,
    padding_idx: Any,
    scale_grad_by_freq: Any,
    sparse: Any,
) -> relax.Expr:
    return _taken(c, weight, 0, indices)


@converts("index_select.default")
def _index_select(c: Context, self: relax.Expr, dim: int, index: relax.Expr) -> relax.Expr:
    return _taken(c, self, axis_of(dim, len(c.shape)), index)


def _taken(c: Context, x: relax.Expr, axis: int, index: relax.Expr) -> relax.Expr:
    if not dims(x):
        x = c.emit(op.reshape(x, [1]))
    index = held(c, index, dims(x)[axis], Places.FRONT)
    if len(dims(index)) == 1 or 0 in dims(index):
        taken = c.emit(op.take(x, index, axis))
        return taken if len(dims(taken)) == len(c.shape) else c.emit(op.reshape(taken, c.shape))
    flat = c.emit(op.reshape(index, [1] if not dims(index) else [-1]))
    return c.emit(op.reshape(op.take(x, flat, axis), c.shape))


def _broadcast(tensor: te.Tensor, at: list[Any]) -> Any:
    """The element at a position of a tensor that is broadcast to more dimensions."""
    shape = tensor.shape
    at = at[len(at) - len(shape) :]
    return tensor(*[0 if int_is(n, 1) else k for k, n in zip(at, shape, strict=True)])


def int_is(size: Any, value: int) -> bool:
    return isinstance(size, int | tirx.IntImm) and int(size) == value


@converts("index.Tensor", "_unsafe_index.Tensor")
def _index(c: Context, self: relax.Expr, indices: list[Any]) -> relax.Expr:
    if any(dtype_of(i) in ("bool", "uint8") for i in indices if i is not None):
        raise c.refuse("with a mask")
    shape = dims(self)
    if 0 in shape or 0 in c.shape:
        return c.emit(op.full(c.shape, relax.const(0, c.dtype), c.dtype))
    axes = [k for k, index in enumerate(indices) if index is not None]
    tensors = [held(c, indices[k], shape[k], Places.ENDS) for k in axes]
    rank = max(len(dims(i)) for i in tensors)
    together = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if together else 0

    def index(x: te.Tensor, *places: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            inner, rest = list(i[first : first + rank]), [*i[:first], *i[first + rank :]]
            at = [
                _broadcast(places[axes.index(axis)], inner) if axis in axes else rest.pop(0)
                for axis in range(len(shape))
            ]
            return x(*at)

        return te.compute(c.shape, element, name="index")

    return c.kernel("index", index, self, *tensors, attributes={CHECKED: True})


@converts("gather.default")
def _gather(
    c: Context, self: relax.Expr, dim: int, index: relax.Expr, sparse_grad: Any
) -> relax.Expr:
    shape = dims(self)
    if not shape:
        return c.emit(op.broadcast_to(self, relax.ShapeExpr(c.shape)))
    axis = axis_of(dim, len(shape))
    if 0 in c.shape:
        return c.emit(op.full(c.shape, relax.const(0, c.dtype), c.dtype))

    return c.emit(op.gather_elements(self, held(c, index, shape[axis], Places.FRONT), axis))


@converts("scatter.src", "scatter_add.default")
def _scatter(c: Context, self: Any, dim: int, index: Any, src: Any) -> relax.Expr:
    added = str(c.node.target) == "aten.scatter_add.default"
    return _scattered(c, self, dim, index, src, "add" if added else "update")


# TVM's name for each reduction of torch, and the reduction's neutral element.
_COMBINE = {
    "add": ("add", 0),
    "sum": ("add", 0),
    "multiply": ("mul", 1),
    "prod": ("mul", 1),
    "amax": ("max", -math.inf),
    "amin": ("min", math.inf),
}


@converts("scatter.reduce", "scatter_reduce.two")
def _scatter_reduce(
    c: Context,
    self: Any,
    dim: int,
    index: Any,
    src: Any,
    reduce: str,
    include_self: bool = True,
) -> relax.Expr:
    return _combined(c, self, dim, index, src, reduce, include_self)


@converts("index_reduce.default")
def _index_reduce(
    c: Context, self: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool
) -> relax.Expr:
    shape = dims(source)
    if not shape:
        return _combined(c, self, dim, c.emit(op.reshape(index, [])), source, reduce, include_self)
    axis = axis_of(dim, len(shape))
    index = c.emit(op.reshape(index, [-1 if k == axis else 1 for k in range(len(shape))]))
    index = c.emit(op.broadcast_to(index, relax.ShapeExpr(shape)))
    return _combined(c, self, dim, index, source, reduce, include_self)


def _combined(
    c: Context, self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> relax.Expr:
    if reduce == "mean":
        return _averaged(c, self, dim, index, src, include_self)
    if c.dtype == "bool":
        return _of_bool(c, self, dim, index, src, reduce, include_self)
    how, neutral = _COMBINE[reduce]
    if not include_self:
        if not math.isfinite(neutral) and not is_float(c.dtype):
            limits = np.iinfo(c.dtype)
            neutral = limits.min if neutral < 0 else limits.max
        self = _scattered(c, self, dim, index, c.full(dims(index), neutral, c.dtype), "update")
    return _scattered(c, self, dim, index, src, how)


def _of_bool(
    c: Context, self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> relax.Expr:
    """A sum or maximum of booleans is "or", a product or minimum "and"."""
    self, src = (c.emit(op.astype(t, "int8")) for t in (self, src))
    how, neutral = ("max", 0) if reduce in ("add", "sum", "amax") else ("min", 1)
    if not include_self:
        self = _scattered(c, self, dim, index, c.full(dims(index), neutral, "int8"), "update")
    return c.cast(_scattered(c, self, dim, index, src, how), "bool")


def _averaged(
    c: Context, x: relax.Expr, dim: int, index: relax.Expr, source: relax.Expr, include_self: bool
) -> relax.Expr:
    """The mean at each position; for integers rounded down."""
    if c.dtype == "bool" or c.dtype in HALF:
        raise c.refuse(f"with reduce='mean' of {c.dtype}")
    ones = c.full(dims(index), 1, c.dtype)
    count = c.full(dims(x), 1, c.dtype)
    if not include_self:
        none = c.full(dims(index), 0, c.dtype)
        x, count = (_scattered(c, t, dim, index, none, "update") for t in (x, count))
    total = _scattered(c, x, dim, index, source, "add")
    count = _scattered(c, count, dim, index, ones, "add")
    return c.emit((op.divide if is_float(c.dtype) else op.floor_divide)(total, count))


@converts("scatter.value_reduce")
def _scatter_value_reduce(
    c: Context, self: Any, dim: int, index: Any, value: Any, reduce: str
) -> relax.Expr:
    return _combined(c, self, dim, index, c.full(dims(index), value, c.dtype), reduce, True)


@converts("scatter.value")
def _scatter_value(c: Context, self: Any, dim: int, index: Any, value: Any) -> relax.Expr:
    filled = c.full(dims(index), value, c.dtype)
    return _scattered(c, self, dim, index, filled, "update")


def _scattered(
    c: Context, x: relax.Expr, dim: int, index: relax.Expr, source: relax.Expr, how: str
) -> relax.Expr:
    shape, counts = dims(x), dims(index)
    if 0 in counts or 0 in shape:
        return x
    if not shape:
        x, index, source = (c.emit(op.reshape(t, [-1])) for t in (x, index, source))
        return c.emit(op.reshape(_scattered(c, x, 0, index, source, how), []))
    if not all(isinstance(n, int) for n in [*shape, *counts, *dims(source)]):
        raise c.refuse("with dynamic sizes")
    axis = axis_of(dim, len(shape))
    source = _corner(c, source, counts)
    # TVM assumes that the index is as wide as the tensor
    reached = [n if k == axis else counts[k] for k, n in enumerate(shape)]
    index = held(c, index, shape[axis], Places.FRONT)

    def write(x: relax.Expr, source: relax.Expr, how: str) -> relax.Expr:
        return op.scatter_elements(x, index, source, axis, how)

    written = _written(c, write, _corner(c, x, reached), source, how)
    return written if reached == shape else _with_corner(c, x, written)


def _corner(c: Context, x: relax.Expr, shape: list[int]) -> relax.Expr:
    """The first elements along every dimension."""
    if dims(x) == shape:
        return x
    axes = list(range(len(shape)))
    return c.emit(op.strided_slice(x, axes, [0] * len(shape), shape))


def _with_corner(c: Context, x: relax.Expr, corner: relax.Expr) -> relax.Expr:
    """The tensor with other first elements along every dimension."""

    def joined(x: te.Tensor, corner: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            inside = tirx.all(*(k < n for k, n in zip(i, corner.shape, strict=True)))
            return tirx.if_then_else(inside, corner(*i), x(*i))

        return te.compute(x.shape, element, name="corner")

    return c.kernel("corner", joined, x, corner)


def _written(
    c: Context, write: Callable[..., relax.Expr], x: relax.Expr, new: relax.Expr, how: str
) -> relax.Expr:
    """A write into a tensor. Adding booleans means "or", which no TVM scatter supports."""
    if how != "add" or c.dtype != "bool":
        return c.emit(write(x, new, how))
    x, new = (c.emit(op.astype(value, "int8")) for value in (x, new))
    return c.cast(c.emit(write(x, new, "max")), "bool")


@converts("index_copy.default")
def _index_copy(c: Context, self: Any, dim: int, index: Any, source: Any) -> relax.Expr:
    if c.node.meta.get(IN_PLACE):
        # The state has a buffer of half precision in float32, and `self` is its narrow copy.
        kept = c.builder.lookup_binding(self).args[0] if c.dtype in HALF else self
        axis = axis_of(dim, len(dims(self)))
        written = _written_in_place(c, kept, axis, index, c.cast(source, dtype_of(kept)))
        return c.narrowed(written)
    return _put_along(c, self, dim, index, source, False)


def _written_in_place(
    c: Context, x: relax.Expr, axis: int, index: relax.Expr, source: relax.Expr
) -> relax.Expr:
    """The tensor itself, after the writes."""
    (count,), size = dims(index), dims(x)[axis]
    index = held(c, index, size, Places.FRONT)
    function = write_along(dims(x), axis, count, dtype_of(x), dtype_of(index))
    kernel = c.builder.add_func(function, WRITE_ALONG)
    return c.emit(op.call_tir_inplace(kernel, [x, index, source], [0], x.ty))


@converts("index_add.default")
def _index_add(
    c: Context, self: Any, dim: int, index: Any, source: Any, alpha: float = 1
) -> relax.Expr:
    if alpha != 1:
        source = c.emit(op.multiply(source, c.tensor(alpha, c.dtype)))
    return _put_along(c, self, dim, index, source, True)


def _put_along(
    c: Context, x: relax.Expr, dim: int, index: relax.Expr, source: relax.Expr, accumulate: bool
) -> relax.Expr:
    """Write at the indices of a vector along one dimension."""
    x, axis, index = _line(c, x, dim, index)
    shape = dims(x)
    wanted = [*shape[:axis], *dims(index), *shape[axis + 1 :]]
    if dims(source) != wanted:
        source = c.emit(op.reshape(source, wanted))
    result = put(c, x, [*[None] * axis, index], source, accumulate, Places.FRONT)
    return result if c.shape else c.emit(op.reshape(result, []))


@converts("put.default")
def _put_flat(
    c: Context, self: relax.Expr, index: relax.Expr, source: relax.Expr, accumulate: bool
) -> relax.Expr:
    """Write into the flattened tensor."""
    flat, index, source = (c.emit(op.reshape(t, [-1])) for t in (self, index, source))
    result = put(c, flat, [index], source, accumulate, Places.ENDS)
    return c.emit(op.reshape(result, c.shape))


@converts("index_fill.int_Scalar", "index_fill.int_Tensor")
def _index_fill(c: Context, self: Any, dim: int, index: Any, value: Any) -> relax.Expr:
    x, axis, index = _line(c, self, dim, index)
    value = c.tensor(value, c.dtype)
    result = put(c, x, [*[None] * axis, index], value, False, Places.ENDS)
    return result if c.shape else c.emit(op.reshape(result, []))


def _line(
    c: Context, x: relax.Expr, dim: int, index: relax.Expr
) -> tuple[relax.Expr, int, relax.Expr]:
    """Tensor and indices with at least one dimension, and the dimension made non-negative."""
    x, index = (t if dims(t) else c.emit(op.reshape(t, [1])) for t in (x, index))
    return x, axis_of(dim, len(dims(x))), index


@converts("one_hot.default")
def _one_hot(c: Context, self: relax.Expr, num_classes: Any) -> relax.Expr:
    classes = c.shape[-1]
    if not isinstance(classes, int):
        raise c.refuse("with a number of classes that is not known")
    index = c.emit(op.expand_dims(held(c, self, classes, Places.FRONT), -1))
    every = relax.const(np.arange(classes, dtype=dtype_of(index)), dtype_of(index))
    return c.cast(c.emit(op.equal(index, every)), c.dtype)


def put(
    c: Context,
    self: relax.Expr,
    indices: list[Any],
    values: relax.Expr,
    accumulate: bool,
    where_to: Places,
) -> relax.Expr:
    """Write values at index tensors, one for each dimension that is not None."""
    shape = dims(self)
    if not all(isinstance(n, int) for n in shape):
        raise c.refuse("with dynamic sizes")
    if 0 in shape:
        return self
    axes = [k for k, index in enumerate(indices) if index is not None]
    # The indexed dimensions come first, flattened to one; the other dimensions follow unchanged.
    others = [k for k in range(len(shape)) if k not in axes]
    counts = _common([dims(indices[k]) for k in axes])
    if not all(isinstance(n, int) for n in counts):
        raise c.refuse("with dynamic sizes")
    together = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if together else 0
    rest = [shape[k] for k in others]
    full = [*rest[:first], *counts, *rest[first:]]
    values = c.emit(op.broadcast_to(values, relax.ShapeExpr(full)))
    where = list(range(first, first + len(counts)))
    order = [*where, *(k for k in range(len(full)) if k not in where)]
    if 0 in counts:
        return self
    number = 1
    for n in counts:
        number *= n
    values = c.emit(op.reshape(op.permute_dims(values, order), [number, *rest]))
    places = [
        op.reshape(
            op.broadcast_to(
                c.cast(held(c, indices[k], shape[k], where_to), "int64"),
                relax.ShapeExpr(counts),
            ),
            [number],
        )
        for k in axes
    ]
    moved = c.emit(op.permute_dims(self, [*axes, *others]))
    places = c.emit(op.stack([c.emit(p) for p in places], axis=1))

    def write(x: relax.Expr, values: relax.Expr, how: str) -> relax.Expr:
        return op.scatter_nd(x, places, values, how)

    written = _written(c, write, moved, values, "add" if accumulate else "update")
    back = [0] * len(shape)
    for position, axis in enumerate([*axes, *others]):
        back[axis] = position
    return c.emit(op.permute_dims(written, back))


def _common(shapes: list[list[Any]]) -> list[Any]:
    """The shape that the shapes broadcast to."""
    rank = max(map(len, shapes))
    padded = [[1] * (rank - len(shape)) + shape for shape in shapes]
    return [next((n for n in sizes if n != 1), 1) for sizes in zip(*padded, strict=True)]
