"""Writes where a mask is true."""

from typing import Any

from tvm import relax

from ...kernels.index_check import Places
from .converter import Context, converts, dims, dtype_of
from .indexing import held, put

op = relax.op
_ONE = relax.const(1, "int64")


def _ranks(c: Context, mask: relax.Expr, size: int) -> relax.Expr:
    """How many true elements stand before each true one, flat; 0 where the mask is false.

    A rank of ``size`` or more ends the run.
    """
    truths = c.emit(op.astype(c.emit(op.reshape(mask, [-1])), "int64"))
    count = c.emit(op.cumsum(truths, 0, "int64"))
    rank = c.emit(op.subtract(c.emit(op.maximum(count, _ONE)), _ONE))
    return held(c, c.emit(op.multiply(rank, truths)), size, Places.FRONT)


@converts("masked_scatter.default")
def _masked_scatter(
    c: Context, self: relax.Expr, mask: relax.Expr, source: relax.Expr
) -> relax.Expr:
    """Elements of the source, in order, at the positions where the mask is true."""
    shape = relax.ShapeExpr(c.shape)
    if not all(isinstance(n, int) for n in [*c.shape, *dims(source)]):
        raise c.refuse("with dynamic sizes")
    self, mask = (c.emit(op.broadcast_to(t, shape)) for t in (self, mask))
    if 0 in c.shape:
        return self
    flat = c.emit(op.reshape(source, [-1]))
    taken = c.emit(op.take(flat, _ranks(c, mask, dims(flat)[0]), 0))
    return c.emit(op.where(mask, c.emit(op.reshape(taken, shape)), self))


@converts("index_put.default", "_unsafe_index_put.default")
def _index_put(
    c: Context, self: relax.Expr, indices: list[Any], values: relax.Expr, accumulate: bool
) -> relax.Expr:
    if any(dtype_of(i) in ("bool", "uint8") for i in indices if i is not None):
        return _masked_put(c, self, indices, values, accumulate)
    return put(c, self, indices, values, accumulate, Places.ENDS)


def _masked_put(
    c: Context, x: relax.Expr, indices: list[Any], values: relax.Expr, accumulate: bool
) -> relax.Expr:
    """Values, in order, at the positions of one mask; or one value at all of them."""
    *before, mask = indices
    if any(index is not None for index in before):
        raise c.refuse("with a mask and other indices")
    axis, shape = len(before), dims(x)
    after = axis + len(dims(mask))
    if 0 in shape:
        return x
    given = dims(values)
    given = [1] * (1 + len(shape) - len(dims(mask)) - len(given)) + given
    values = c.emit(op.reshape(values, given))
    if given[axis] == 1:
        spread = [*given[:axis], *[1] * len(dims(mask)), *given[axis + 1 :]]
        values = c.emit(op.reshape(values, spread))
    elif isinstance(given[axis], int) and all(isinstance(n, int) for n in dims(mask)):
        values = c.emit(op.take(values, _ranks(c, mask, given[axis]), axis))
        spread = [*given[:axis], *dims(mask), *given[axis + 1 :]]
        values = c.emit(op.reshape(values, spread))
    else:
        raise c.refuse("with a mask and a dynamic number of values")
    if accumulate:
        added = op.logical_or if c.dtype == "bool" else op.add
        values = c.emit(added(x, values))
    mask = c.emit(op.reshape(mask, [*[1] * axis, *dims(mask), *[1] * (len(shape) - after)]))
    return c.emit(op.where(c.cast(mask, "bool"), values, x))
