"""Pooling."""

import math
from dataclasses import dataclass
from typing import Any

from tvm import relax, te, tirx

from ...kernels.order_keys import order_keys
from .converter import Context, Missing, converts, dims, dtype_of, is_float

op = relax.op


def _all(value: Any, rank: int, otherwise: Any = None) -> list[int]:
    """One number for each spatial dimension, ``otherwise`` if the value is empty."""
    if not value and value != 0:
        return list(otherwise)
    value = [value] if isinstance(value, int) else list(value)
    return value * rank if len(value) == 1 else value


def _spatial(c: Context) -> int:
    """The number of pooled dimensions: the digit before the d in the operator's name."""
    return next(int(letter) for letter in str(c.node.target) if letter.isdigit())


def _batched(c: Context, x: relax.Expr, rank: int, function: Any) -> relax.Expr:
    """Pool a batch of images, or a single image."""
    if 0 in c.shape:
        return c.full(c.shape, 0, c.dtype)
    if 0 in dims(x):
        raise c.refuse("of no elements")
    single = len(dims(x)) == rank + 1
    result = c.emit(function(c.emit(op.expand_dims(x, 0)) if single else x))
    return c.emit(op.squeeze(result, [0])) if single else result


@converts("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def _max_pool(
    c: Context,
    self: relax.Expr,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> list[Any]:
    rank = _spatial(c)
    size = _all(kernel_size, rank)
    pads = _all(padding, rank)
    c.shape, c.dtype = c.sizes.shape(c.result[0].shape), dtype_of(self)
    window = _Window(size, _all(stride, rank, size), pads, _all(dilation, rank))
    if 0 in c.shape:
        return [c.full(c.shape, 0, dtype) for dtype in (c.dtype, "int64")]
    if not is_float(c.dtype):  # TVM's pools are of floats
        places = _places(c, self, window)
        return [_elements(c, self, places, rank), places]
    result = _batched(
        c,
        self,
        rank,
        lambda x: getattr(op.nn, f"max_pool{rank}d")(
            x,
            pool_size=size,
            strides=window.stride,
            padding=[*pads, *pads],
            dilation=window.dilation,
            ceil_mode=ceil_mode,
        ),
    )
    if all(user.args[1] == 0 for user in c.node.users):
        return [result, Missing("the indices of a pool")]
    return [result, _places(c, self, window)]


@dataclass(frozen=True)
class _Window:
    """A pool's parameters, one number for each pooled dimension."""

    size: list[int]
    stride: list[int]
    pads: list[int]
    dilation: list[int]

    def place(self, k: int, out: Any, inside: Any) -> Any:
        """The place along pooled dimension k of an element of an output's window."""
        return out * self.stride[k] - self.pads[k] + inside * self.dilation[k]


def _places(c: Context, x: relax.Expr, window: _Window) -> relax.Expr:
    """The places of the maxima in the flattened image."""
    rank, shape = len(window.size), dims(x)
    outer, count = len(shape) - rank, math.prod(window.size)
    outs = c.shape[outer:]
    keys = order_keys(c.builder, x)
    below = tirx.min_value(dtype_of(keys))  # places outside of the image are below -inf

    def inside(k: Any) -> list[Any]:
        """The place in the window, from its number."""
        found = []
        for n in reversed(window.size):
            found.append(tirx.floormod(k, n))
            k = tirx.floordiv(k, n)
        return found[::-1]

    def windows(x: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            within = inside(i[-1])
            at = [window.place(d, i[outer + d], within[d]) for d in range(rank)]
            there = [tirx.all(p >= 0, p < n) for p, n in zip(at, shape[outer:], strict=True)]
            return tirx.if_then_else(tirx.all(*there), x(*i[:outer], *at), below)

        return te.compute([*shape[:outer], *outs, count], element, name="windows")

    def places(number: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            within, flat = inside(number(*i)), tirx.const(0, "int64")
            for d in range(rank):
                flat = flat * shape[outer + d] + window.place(d, i[outer + d], within[d])
            return flat

        return te.compute([*shape[:outer], *outs], element, name="places")

    number = c.emit(op.argmax(c.kernel("windows", windows, keys), -1))
    return c.kernel("places", places, number)


def _elements(c: Context, x: relax.Expr, places: relax.Expr, rank: int) -> relax.Expr:
    """The elements at places of the flattened image."""
    outer = dims(x)[: len(dims(x)) - rank]
    flat, at = (c.emit(op.reshape(t, [*outer, -1])) for t in (x, places))
    found = c.emit(op.gather_elements(flat, at, len(outer)))
    return c.emit(op.reshape(found, c.shape))


@converts("avg_pool1d.default")
def _avg_pool1d(
    c: Context,
    self: relax.Expr,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
) -> relax.Expr:
    return _averaged(c, self, kernel_size, stride, padding, ceil_mode, count_include_pad)


@converts("avg_pool2d.default", "avg_pool3d.default")
def _avg_pool(
    c: Context,
    self: relax.Expr,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> relax.Expr:
    if divisor_override is None:
        return _averaged(c, self, kernel_size, stride, padding, ceil_mode, count_include_pad)
    rank = _spatial(c)
    size = _all(kernel_size, rank)
    window = _Window(size, _all(stride, rank, size), _all(padding, rank), [1] * rank)
    return c.narrowed(_divided(c, c.widened(self), window, divisor_override))


def _divided(c: Context, x: relax.Expr, window: _Window, divisor: int) -> relax.Expr:
    """The sums of windows, divided by a number; whole numbers are rounded towards 0."""
    rank, shape = len(window.size), dims(x)
    outer = len(shape) - rank

    def sums(x: te.Tensor) -> te.Tensor:
        inside = [te.reduce_axis((0, n), name=f"k{d}") for d, n in enumerate(window.size)]

        def element(*i: Any) -> Any:
            at = [window.place(d, i[outer + d], k.var) for d, k in enumerate(inside)]
            there = [tirx.all(p >= 0, p < n) for p, n in zip(at, shape[outer:], strict=True)]
            nothing = tirx.const(0, x.dtype)
            return te.sum(tirx.if_then_else(tirx.all(*there), x(*i[:outer], *at), nothing), inside)

        return te.compute(c.shape, element, name="sums")

    def divided(total: te.Tensor) -> te.Tensor:
        by = tirx.const(divisor, total.dtype)
        divide = tirx.div if is_float(str(total.dtype)) else tirx.truncdiv
        return te.compute(c.shape, lambda *i: divide(total(*i), by), name="divided")

    return c.kernel("divided", divided, c.kernel("sums", sums, x))


def _averaged(
    c: Context, x: relax.Expr, kernel: Any, stride: Any, padding: Any, ceil: bool, counted: bool
) -> relax.Expr:
    rank = _spatial(c)
    size = _all(kernel, rank)
    pads = _all(padding, rank)
    return _batched(
        c,
        x,
        rank,
        lambda x: getattr(op.nn, f"avg_pool{rank}d")(
            x,
            pool_size=size,
            strides=_all(stride, rank, size),
            padding=[*pads, *pads],
            ceil_mode=ceil,
            count_include_pad=counted,
        ),
    )


@converts(
    *(f"_adaptive_avg_pool{rank}d.default" for rank in (2, 3)),
    *(f"adaptive_avg_pool{rank}d.default" for rank in (1, 2, 3)),
)
def _adaptive(c: Context, self: relax.Expr, output_size: Any) -> relax.Expr:
    rank = _spatial(c)
    size = _all(output_size, rank)
    if not all(isinstance(n, int) for n in size):
        raise c.refuse("with dynamic output sizes (mode area; nearest and bilinear can have them)")
    return _batched(c, self, rank, lambda x: getattr(op.nn, f"adaptive_avg_pool{rank}d")(x, size))
