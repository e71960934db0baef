"""Operators that combine the elements of rows: sums, extremes, sorting."""

import math
from functools import reduce
from typing import Any

from tvm import relax, tirx

from ...kernels.order_keys import order_keys, top
from .converter import Context, axis_of, converts, dims, dtype_of

op = relax.op


def _axes(x: relax.Expr, dim: Any) -> list[int]:
    """The axes to reduce; all axes if none is named."""
    rank = len(dims(x))
    if dim is None or dim == []:
        return list(range(rank))
    return [axis_of(d, rank) for d in ([dim] if isinstance(dim, int) else dim)]


def _reduced(c: Context, function: Any, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    """A reduction over axes. The reduction of a scalar is the scalar."""
    if not dims(x):
        return x
    return c.emit(function(x, _axes(x, dim), keepdims=keepdim))


def _empty(c: Context, x: relax.Expr) -> bool:
    return 0 in dims(x) or 0 in c.shape


def _filled(c: Context, value: Any) -> relax.Expr:
    """The result of a reduction over no elements."""
    return c.full(c.shape, value, c.dtype)


@converts("sum.dim_IntList")
def _sum(c: Context, self: relax.Expr, dim: Any, keepdim: bool, dtype: Any) -> relax.Expr:
    return _summed(c, self, dim, keepdim)


@converts("sum.default")
def _sum_all(c: Context, self: relax.Expr, dtype: Any) -> relax.Expr:
    return _summed(c, self, None, False)


def _summed(c: Context, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    if _empty(c, x):
        return _filled(c, 0)
    x = c.widened(c.cast(x, c.dtype))
    return c.narrowed(_reduced(c, op.sum, x, dim, keepdim))


@converts("mean.dim")
def _mean(c: Context, self: relax.Expr, dim: Any, keepdim: bool, dtype: Any) -> relax.Expr:
    return _averaged(c, self, dim, keepdim)


@converts("mean.default")
def _mean_all(c: Context, self: relax.Expr, dtype: Any) -> relax.Expr:
    return _averaged(c, self, None, False)


def _averaged(c: Context, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    if _empty(c, x):
        return _filled(c, math.nan)
    x = c.widened(c.cast(x, c.dtype))
    return c.narrowed(_reduced(c, op.mean, x, dim, keepdim))


@converts("prod.default")
def _prod_all(c: Context, self: relax.Expr, dtype: Any) -> relax.Expr:
    return _multiplied(c, self, None, False)


@converts("prod.dim_int")
def _prod(c: Context, self: relax.Expr, dim: int, keepdim: bool, dtype: Any) -> relax.Expr:
    return _multiplied(c, self, dim, keepdim)


def _multiplied(c: Context, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    if _empty(c, x):
        return _filled(c, 1)
    x = c.widened(c.cast(x, c.dtype))
    return c.narrowed(_reduced(c, op.prod, x, dim, keepdim))


@converts("var.correction")
def _var(c: Context, self: relax.Expr, dim: Any, correction: Any, keepdim: bool) -> relax.Expr:
    x = c.widened(self)
    if not dims(x):
        x = c.emit(op.reshape(x, [1]))
    axes = _axes(x, dim)
    correction = 1 if correction is None else correction
    if _empty(c, x):
        return _filled(c, math.nan)
    if correction == 0:
        return c.narrowed(c.emit(op.variance(x, axes, keepdims=keepdim)))
    variance = c.emit(op.variance(x, axes, keepdims=keepdim))
    count = reduce(lambda n, m: n * m, [dims(x)[a] for a in axes])
    if not isinstance(count, int):
        degrees = tirx.max(tirx.Cast("float64", count) - float(correction), 0.0)
        factor = c.tensor(tirx.Cast("float64", count) / degrees, dtype_of(x))
        return c.narrowed(c.emit(op.multiply(variance, factor)))
    degrees = max(count - correction, 0)
    if degrees:
        return c.narrowed(c.emit(op.multiply(variance, relax.const(count / degrees, dtype_of(x)))))
    # With 0 degrees of freedom: 0/0 is NaN, anything else is infinite.
    infinite, undefined = (relax.const(v, dtype_of(x)) for v in (math.inf, math.nan))
    some = op.greater(variance, relax.const(0, dtype_of(x)))
    return c.narrowed(c.emit(op.where(some, infinite, undefined)))


@converts("amax.default", "amin.default")
def _extreme(c: Context, self: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    return _extremes(c, str(c.node.target) == "aten.amax.default", self, dim, keepdim)


@converts("max.default", "min.default")
def _extreme_all(c: Context, self: relax.Expr) -> relax.Expr:
    return _extremes(c, str(c.node.target) == "aten.max.default", self, None, False)


def _extremes(c: Context, largest: bool, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    if _empty(c, x):
        return _filled(c, 0)
    dtype = dtype_of(x)
    if dtype == "bool":
        x = c.emit(op.astype(x, "int8"))
    return c.cast(_reduced(c, op.max if largest else op.min, x, dim, keepdim), dtype)


@converts("any.default")
def _any_all(c: Context, self: relax.Expr) -> relax.Expr:
    return _anywhere(c, self, None, False)


@converts("any.dim", "any.dims")
def _any(c: Context, self: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    return _anywhere(c, self, dim, keepdim)


def _anywhere(c: Context, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    if _empty(c, x):
        return _filled(c, False)
    x = c.emit(op.astype(c.cast(x, "bool"), "int8"))
    found = _reduced(c, op.max, x, dim, keepdim)
    if c.dtype == "uint8":
        return c.emit(op.astype(found, "uint8"))
    return c.emit(op.astype(found, "bool"))


@converts("argmax.default", "argmin.default")
def _arg(c: Context, self: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    return _places(c, str(c.node.target) == "aten.argmax.default", self, dim, keepdim)


def _places(c: Context, largest: bool, x: relax.Expr, dim: Any, keepdim: bool) -> relax.Expr:
    rank = len(dims(x))
    if not rank:
        return relax.const(0, "int64")
    if 0 in dims(x):
        return _filled(c, 0)
    x = order_keys(c.builder, x, nan_last=largest)  # if there is a NaN, it is the extreme
    if dim is None:
        x = c.emit(op.reshape(x, [-1]))
    axis = 0 if dim is None else axis_of(dim, rank)
    found = c.emit((op.argmax if largest else op.argmin)(x, axis, keepdims=keepdim))
    if dim is None and keepdim:
        return c.emit(op.reshape(found, [1] * rank))
    return found


def _no_elements(c: Context, dtype: str) -> list[relax.Expr]:
    """Values and places, where there are none."""
    shape = c.sizes.shape(c.result[0].shape)
    return [c.full(shape, 0, dtype), c.full(shape, 0, "int64")]


@converts("max.dim", "min.dim")
def _extreme_and_place(c: Context, self: relax.Expr, dim: int, keepdim: bool) -> list[relax.Expr]:
    largest = str(c.node.target) == "aten.max.dim"
    if 0 in dims(self):
        return _no_elements(c, dtype_of(self))
    found = _extremes(c, largest, self, dim, keepdim)
    return [found, _places(c, largest, self, dim, keepdim)]


@converts("cumsum.default", "cumprod.default")
def _running(c: Context, self: relax.Expr, dim: int, dtype: Any) -> relax.Expr:
    if not dims(self) or 0 in dims(self):
        return c.cast(self, c.dtype)
    x = c.widened(c.cast(self, c.dtype))
    axis = axis_of(dim, len(dims(x)))
    summed = str(c.node.target) == "aten.cumsum.default"
    return c.narrowed(c.emit((op.cumsum if summed else op.cumprod)(x, axis, dtype_of(x))))


@converts("sort.default")
def _sort(c: Context, self: relax.Expr, dim: int, descending: bool) -> list[relax.Expr]:
    return _sorted(c, self, dim, descending)


@converts("sort.stable")
def _sort_stable(
    c: Context, self: relax.Expr, stable: Any, dim: int, descending: bool
) -> list[relax.Expr]:
    return _sorted(c, self, dim, descending)


def _sorted(c: Context, x: relax.Expr, dim: int, descending: bool) -> list[relax.Expr]:
    if not dims(x) or 0 in dims(x):
        return [x, c.full(dims(x), 0, "int64")]
    axis = axis_of(dim, len(dims(x)))
    order = c.emit(op.argsort(order_keys(c.builder, x), axis, descending, "int64"))
    return [c.emit(op.gather_elements(x, order, axis)), order]


@converts("topk.default")
def _topk(
    c: Context,
    self: relax.Expr,
    k: Any,
    dim: int,
    largest: bool,
    sorted: bool,
) -> list[relax.Expr]:
    if 0 in dims(self) or (isinstance(k, int) and k == 0):
        return _no_elements(c, dtype_of(self))
    if not dims(self):
        return [self, relax.const(0, "int64")]
    axis = axis_of(dim, len(dims(self)))
    if not isinstance(k, int):
        self = c.hold(self, [(0, k), (k, dims(self)[axis])], "the axis has fewer elements")
    return top(c.builder, self, k, axis, largest)


@converts("_softmax.default", "_log_softmax.default")
def _softmax(c: Context, self: relax.Expr, dim: int, half_to_float: bool) -> relax.Expr:
    if half_to_float:
        raise c.refuse("with half_to_float")
    if not dims(self):
        return c.emit(op.reshape(_softmax(c, c.emit(op.reshape(self, [1])), 0, False), []))
    if 0 in dims(self):
        return self
    axis = axis_of(dim, len(dims(self)))
    plain = str(c.node.target) == "aten._softmax.default"
    return c.emit((op.nn.softmax if plain else op.nn.log_softmax)(self, axis))


@converts("linalg_vector_norm.default")
def _vector_norm(
    c: Context,
    self: relax.Expr,
    ord: Any,
    dim: Any,
    keepdim: bool,
    dtype: Any,
) -> relax.Expr:
    order = float(ord)
    if _empty(c, self):
        return _filled(c, math.inf if order < 0 else 0)
    x = c.widened(c.cast(self, c.dtype))
    if not dims(x):
        x, keepdim = c.emit(op.reshape(x, [1])), False
    axes = _axes(x, dim)
    constant = lambda value: relax.const(value, dtype_of(x))  # noqa: E731
    if math.isinf(order):
        return c.narrowed(c.emit((op.max if order > 0 else op.min)(op.abs(x), axes, keepdim)))
    if order == 0:
        zeros = op.astype(op.equal(x, constant(0)), dtype_of(x))  # not_equal is false for NaN
        return c.narrowed(c.emit(op.sum(op.subtract(constant(1), zeros), axes, keepdim)))
    if order == 1:
        return c.narrowed(c.emit(op.sum(op.abs(x), axes, keepdim)))
    if order == 2:
        return c.narrowed(c.emit(op.sqrt(op.sum(op.multiply(x, x), axes, keepdim))))
    total = op.sum(op.power(op.abs(x), constant(order)), axes, keepdim)
    return c.narrowed(c.emit(op.power(total, constant(1 / order))))
