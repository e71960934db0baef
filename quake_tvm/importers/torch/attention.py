"""Attention of torch, as the operators that it consists of, in four dimensions.

The products, the scale, the mask and softmax are separate operators, which the compiler recognises
and fuses. A row of which all keys are masked gives 0, as in torch.
"""

import math
import operator
from functools import reduce
from typing import Any

from tvm import relax

from .converter import Context, axis_of, converts, dims, dtype_of, same_size

op = relax.op


@converts("_safe_softmax.default")
def _safe_softmax(c: Context, self: relax.Expr, dim: int) -> relax.Expr:
    x = c.widened(c.cast(self, c.dtype))
    return c.narrowed(safe_softmax(c, x, axis_of(dim, len(c.shape))) if dims(x) else x)


def safe_softmax(c: Context, x: relax.Expr, axis: int) -> relax.Expr:
    """softmax along an axis, and 0 where all elements are -inf."""
    if 0 in dims(x):
        return x
    low, zero = (relax.const(value, dtype_of(x)) for value in (-math.inf, 0))
    empty = c.emit(op.equal(c.emit(op.max(x, [axis], keepdims=True)), low))
    return c.emit(op.where(empty, zero, c.emit(op.nn.softmax(x, axis))))


@converts("scaled_dot_product_attention.default")
def _attention(
    c: Context,
    query: relax.Expr,
    key: relax.Expr,
    value: relax.Expr,
    attn_mask: relax.Expr | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> relax.Expr:
    if 0 in [*dims(query), *dims(key), *dims(value)]:
        return c.full(c.shape, 0, c.dtype)
    depth = dims(query)[-1]
    if scale is None and not isinstance(depth, int):
        raise c.refuse("with a dynamic number of features")
    if enable_gqa:
        key, value = (_repeated(c, x, dims(query)[-3]) for x in (key, value))
    q, k, v = (_four(c, c.widened(x)) for x in (query, key, value))
    scores = c.emit(op.matmul(q, c.emit(op.permute_dims(k, [0, 1, 3, 2]))))
    factor = 1 / math.sqrt(depth) if scale is None else scale
    scores = c.emit(op.multiply(scores, relax.const(factor, dtype_of(q))))
    if attn_mask is not None:
        scores = c.emit(op.add(scores, _mask(c, attn_mask, dtype_of(q))))
    if is_causal:
        rows, keys = dims(scores)[2:]
        scores = c.emit(op.add(scores, _causal(c, rows, keys, dtype_of(q))))
    result = c.narrowed(c.emit(op.matmul(safe_softmax(c, scores, 3), v)))
    return c.emit(op.reshape(result, relax.ShapeExpr(c.shape)))


def _repeated(c: Context, x: relax.Expr, heads: Any) -> relax.Expr:
    """Keys or values of fewer heads, each repeated for a group of the query's heads."""
    *batch, own, rows, columns = dims(x)
    if same_size(own, heads):
        return x
    split = [*batch, own, 1, rows, columns]
    group = [*batch, own, heads // own, rows, columns]
    x = c.emit(op.reshape(x, relax.ShapeExpr(split)))
    x = c.emit(op.broadcast_to(x, relax.ShapeExpr(group)))
    return c.emit(op.reshape(x, relax.ShapeExpr([*batch, heads, rows, columns])))


def _four(c: Context, x: relax.Expr) -> relax.Expr:
    """A tensor (.., head, row, column) as (batch, head, row, column), repeated to all heads."""
    *outer, rows, columns = *c.shape[:-2], *dims(x)[-2:]
    if not all(map(same_size, [*[1] * len(outer), *dims(x)][-len(outer) - 2 :], outer)):
        x = c.emit(op.broadcast_to(x, relax.ShapeExpr([*outer, rows, columns])))
    *batch, head = [1] * (2 - len(outer)) + outer
    batch = reduce(operator.mul, batch)
    return c.emit(op.reshape(x, relax.ShapeExpr([batch, head, rows, columns])))


def _mask(c: Context, mask: relax.Expr, dtype: str) -> relax.Expr:
    """What a mask adds to the scores, in a shape that is broadcast to theirs."""
    if dtype_of(mask) == "bool":
        terms = (relax.const(value, dtype) for value in (0, -math.inf))
        mask = c.emit(op.where(mask, *terms))
    mask = c.cast(mask, dtype)
    if len(dims(mask)) <= 4:
        return mask
    batch, (head, rows, columns) = c.shape[:-3], dims(mask)[-3:]
    mask = c.emit(op.broadcast_to(mask, relax.ShapeExpr([*batch, head, rows, columns])))
    merged = [reduce(operator.mul, batch), head, rows, columns]
    return c.emit(op.reshape(mask, relax.ShapeExpr(merged)))


def _causal(c: Context, rows: Any, keys: Any, dtype: str) -> relax.Expr:
    """-inf for the keys after each row, else 0."""
    of_rows, of_keys = (c.emit(op.arange(0, n, 1, "int64")) for n in (rows, keys))
    seen = c.emit(op.less_equal(of_keys, c.emit(op.expand_dims(of_rows, 1))))
    return _mask(c, seen, dtype)
