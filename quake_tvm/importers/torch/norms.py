"""Normalization layers."""

from typing import Any

import numpy as np
from tvm import relax

from .converter import HALF, Context, Missing, converts, dims, dtype_name, dtype_of

op = relax.op


def _affine(c: Context, x: relax.Expr, shape: list[Any], weight: Any, bias: Any) -> tuple[Any, Any]:
    """Scale and offset; ones and zeros if they are missing."""

    def every(value: int) -> relax.Expr:
        if all(isinstance(n, int) for n in shape):
            return relax.const(np.full(shape, value), dtype_of(x))
        return c.full(shape, value, dtype_of(x))

    return every(1) if weight is None else weight, every(0) if bias is None else bias


def _in_one_dtype(c: Context, *tensors: Any) -> list[Any]:
    """The tensors in float32 if some are halves and others not, as under torch.autocast."""
    given = {dtype_of(t) for t in tensors if t is not None}
    if len(given) == 1 or not given.intersection(HALF):
        return list(tensors)
    return [t if t is None else c.widened(t) for t in tensors]


def _alone(c: Context, result: relax.Expr) -> list[Any]:
    """The result, with placeholders for the statistics, which only training reads."""
    result = c.cast(result, dtype_name(c.result[0].dtype))
    return [result, *[Missing(f"the statistics of {c.node.target}")] * 2]


@converts("native_layer_norm.default")
def _layer_norm(
    c: Context,
    input: Any,
    normalized_shape: Any,
    weight: Any,
    bias: Any,
    eps: float,
) -> list[Any]:
    if 0 in dims(input):
        return _alone(c, input)
    input, weight, bias = _in_one_dtype(c, input, weight, bias)
    shape = list(normalized_shape)
    scale, offset = _affine(c, input, shape, weight, bias)
    axes = list(range(-len(shape), 0))
    return _alone(c, c.emit(op.nn.layer_norm(input, scale, offset, axes=axes, epsilon=eps)))


@converts("native_group_norm.default")
def _group_norm(
    c: Context,
    input: relax.Expr,
    weight: Any,
    bias: Any,
    N: Any,
    C: Any,
    HxW: Any,
    group: int,
    eps: float,
) -> list[Any]:
    if 0 in dims(input):
        return _alone(c, input)
    input, weight, bias = _in_one_dtype(c, input, weight, bias)
    shape = dims(input)
    if len(shape) < 3:
        stretched = c.emit(op.expand_dims(input, [2]))
        result, *rest = _group_norm(c, stretched, weight, bias, N, C, HxW, group, eps)
        return [c.emit(op.squeeze(result, [2])), *rest]
    scale, offset = _affine(c, input, [shape[1]], weight, bias)
    result = op.nn.group_norm(
        input,
        scale,
        offset,
        num_groups=group,
        channel_axis=1,
        axes=list(range(2, len(shape))),
        epsilon=eps,
    )
    return _alone(c, c.emit(result))


@converts("_native_batch_norm_legit_no_training.default")
def _batch_norm(
    c: Context,
    input: relax.Expr,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    eps: float,
) -> list[Any]:
    if 0 in dims(input):
        return _alone(c, input)
    input, weight, bias, mean, variance = _in_one_dtype(
        c, input, weight, bias, running_mean, running_var
    )
    scale, offset = _affine(c, input, [dims(input)[1]], weight, bias)
    result = op.nn.batch_norm(
        input,
        scale,
        offset,
        mean,
        variance,
        axis=1,
        epsilon=eps,
        scale=weight is not None,
        center=bias is not None,
        momentum=momentum,
        training=False,
    )
    whole = c.emit(result)
    return _alone(c, c.emit(relax.TupleGetItem(whole, 0)))


@converts("_native_batch_norm_legit.no_stats")
def _batch_norm_no_stats(
    c: Context,
    input: relax.Expr,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> list[Any]:
    if 0 in dims(input):
        return _alone(c, input)
    input, weight, bias = _in_one_dtype(c, input, weight, bias)
    shape = dims(input)
    scale, offset = _affine(c, input, [shape[1]], weight, bias)
    axes = [0, *range(2, len(shape))]
    result = op.nn.instance_norm(input, scale, offset, channel_axis=1, axes=axes, epsilon=eps)
    return _alone(c, c.emit(result))
