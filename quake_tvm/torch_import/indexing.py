"""Operators that read and write at places that are data.

An index outside its dimension, at which torch stops, is taken for the nearest one inside, so that
no data makes a program leave its memory.
"""

from typing import Any

from tvm import relax, te, tirx

from .converter import Context, axis_of, converts, dims, dtype_of

op = relax.op


def _inside(c: Context, index: relax.Expr, size: Any) -> relax.Expr:
    """An index tensor, counted from the front, within its dimension of a fixed size."""
    if not isinstance(size, int):
        raise c.refuse("along a dynamic dimension")
    if size == 0:
        raise c.refuse("along a dimension without elements")
    zero, last = (relax.const(n, dtype_of(index)) for n in (0, size - 1))
    wrapped = op.add(index, relax.const(size, dtype_of(index)))
    front = op.where(op.less(index, zero), wrapped, index)
    return c.emit(op.minimum(op.maximum(front, zero), last))


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
    if not dims(x):  # a scalar at index 0
        return x
    if len(dims(index)) == 1 or 0 in dims(index):
        return c.emit(op.take(x, index, axis, mode="clip"))
    if not dims(index):
        index = c.emit(op.reshape(index, [1]))
        return c.emit(op.reshape(op.take(x, index, axis, mode="clip"), c.shape))
    flat = c.emit(op.reshape(index, [-1]))
    return c.emit(op.reshape(op.take(x, flat, axis, mode="clip"), c.shape))


def _place(index: Any, size: Any) -> Any:
    """An index within [0, size), negative ones counted from the back."""
    index = index.astype("int64")
    index = tirx.Select(index < 0, index + size, index)
    return tirx.max(tirx.min(index, size - 1), 0)


def _broadcast(tensor: te.Tensor, at: list[Any]) -> Any:
    """The element that a tensor, broadcast to more dimensions, has at a place."""
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
    tensors = [indices[k] for k in axes]
    rank = max(len(dims(i)) for i in tensors)
    together = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if together else 0

    def index(x: te.Tensor, *places: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            inner, rest = list(i[first : first + rank]), [*i[:first], *i[first + rank :]]
            at = [
                _place(_broadcast(places[axes.index(axis)], inner), shape[axis])
                if axis in axes
                else rest.pop(0)
                for axis in range(len(shape))
            ]
            return x(*at)

        return te.compute(c.shape, element, name="index")

    return c.kernel("index", index, self, *tensors)


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

    def gather(x: te.Tensor, places: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            return x(*i[:axis], _place(places(*i), shape[axis]), *i[axis + 1 :])

        return te.compute(c.shape, element, name="gather")

    return c.kernel("gather", gather, self, index)


@converts("scatter.src", "scatter_add.default")
def _scatter(c: Context, self: Any, dim: int, index: Any, src: Any) -> relax.Expr:
    added = str(c.node.target) == "aten.scatter_add.default"
    return _scattered(c, self, dim, index, src, "add" if added else "update")


@converts("scatter.value")
def _scatter_value(c: Context, self: Any, dim: int, index: Any, value: Any) -> relax.Expr:
    filled = c.full(dims(index), value, c.dtype)
    return _scattered(c, self, dim, index, filled, "update")


def _scattered(
    c: Context, x: relax.Expr, dim: int, index: relax.Expr, source: relax.Expr, how: str
) -> relax.Expr:
    shape, counts = dims(x), dims(index)
    if not shape or not all(isinstance(n, int) for n in [*shape, *counts, *dims(source)]):
        raise c.refuse("of a scalar or with dynamic sizes")
    if 0 in counts or 0 in shape:
        return x
    axis = axis_of(dim, len(shape))
    if [n for k, n in enumerate(counts) if k != axis] != [
        n for k, n in enumerate(shape) if k != axis
    ]:  # TVM counts the places in such an index as if it were as wide as the tensor
        raise c.refuse("with an index that is smaller than the tensor")
    if dims(source) != counts:
        axes = list(range(len(counts)))
        source = c.emit(op.strided_slice(source, axes, [0] * len(counts), counts))
    index = _inside(c, c.cast(index, "int64"), shape[axis])
    return c.emit(op.scatter_elements(x, index, source, axis, how))


@converts("index_put.default", "_unsafe_index_put.default")
def _index_put(
    c: Context, self: relax.Expr, indices: list[Any], values: relax.Expr, accumulate: bool
) -> relax.Expr:
    shape = dims(self)
    if any(dtype_of(i) in ("bool", "uint8") for i in indices if i is not None):
        return _masked_put(c, self, indices, values, accumulate)
    if not all(isinstance(n, int) for n in shape) or 0 in shape:
        raise c.refuse("with dynamic sizes or without elements")
    axes = [k for k, index in enumerate(indices) if index is not None]
    # The indexed dimensions first, one place after another; the others behind as they are.
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
                _inside(c, c.cast(indices[k], "int64"), shape[k]), relax.ShapeExpr(counts)
            ),
            [number],
        )
        for k in axes
    ]
    moved = c.emit(op.permute_dims(self, [*axes, *others]))
    places = c.emit(op.stack([c.emit(p) for p in places], axis=1))
    put = c.emit(op.scatter_nd(moved, places, values, "add" if accumulate else "update"))
    back = [0] * len(shape)
    for position, axis in enumerate([*axes, *others]):
        back[axis] = position
    return c.emit(op.permute_dims(put, back))


def _common(shapes: list[list[Any]]) -> list[Any]:
    """The shape that shapes broadcast to."""
    rank = max(map(len, shapes))
    padded = [[1] * (rank - len(shape)) + shape for shape in shapes]
    return [next((n for n in sizes if n != 1), 1) for sizes in zip(*padded, strict=True)]


def _masked_put(
    c: Context, x: relax.Expr, indices: list[Any], values: relax.Expr, accumulate: bool
) -> relax.Expr:
    (mask, *more) = indices
    if more or accumulate or dims(values) not in ([], [1]) or mask is None:
        raise c.refuse("with a mask and several values")
    shape = [*dims(mask), *[1] * (len(c.shape) - len(dims(mask)))]
    mask = c.cast(c.emit(op.reshape(mask, shape)), "bool")
    value = c.emit(op.reshape(values, [])) if dims(values) else values
    return c.emit(op.where(mask, value, x))
