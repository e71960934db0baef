"""Norms as the operators that they consist of: for types and axes that no kernel of ours takes.

TVM's kernels of group_norm and instance_norm compute the variance as the mean square less the
square of the mean, which loses all digits where the mean is much larger than the deviation. Its
kernels of layer_norm and rms_norm refuse float64. Here the variance is the mean square of the
differences from the mean. float16 and bfloat16 are computed in float32. Knows no kernel.
"""

from collections.abc import Sequence

from tvm import relax

from .graph import dtype

op = relax.op


def _spread(
    builder: relax.BlockBuilder, weight: relax.Expr, axes: Sequence[int], shape: Sequence
) -> relax.Expr:
    """A weight over these axes of a tensor, in a shape that broadcasts to the tensor's."""
    order = sorted(range(len(axes)), key=axes.__getitem__)
    if order != list(range(len(axes))):
        weight = builder.emit(op.permute_dims(weight, order))
    full = [n if k in axes else 1 for k, n in enumerate(shape)]
    return builder.emit(op.reshape(weight, full))


def normalized(
    builder: relax.BlockBuilder,
    x: relax.Expr,
    axes: Sequence[int],
    epsilon: float,
    centered: bool = True,
) -> relax.Expr:
    """(x - mean)/sqrt(variance + epsilon) over some axes.

    Parameters
    ----------
    builder : BlockBuilder
    x : Expr
        Of a float type.
    axes : sequence of int
    epsilon : float
    centered : bool
        Whether the mean is subtracted. If not, this is x/sqrt(mean(x^2) + epsilon).

    Returns
    -------
    Expr
        Of the shape of x. float32 if x has fewer bits, else of the type of x.
    """
    if dtype(x) in ("float16", "bfloat16"):
        x = builder.emit(op.astype(x, "float32"))
    if centered:
        x = builder.emit(op.subtract(x, builder.emit(op.mean(x, axes, keepdims=True))))
    square = builder.emit(op.mean(builder.emit(op.multiply(x, x)), axes, keepdims=True))
    least = relax.const(epsilon, dtype(x))
    factor = builder.emit(op.rsqrt(builder.emit(op.add(square, least))))
    return builder.emit(op.multiply(x, factor))


def weighted(
    builder: relax.BlockBuilder,
    call: relax.Call,
    value: relax.Expr,
    weights: Sequence[relax.Expr],
    axes: Sequence[int],
) -> relax.Expr:
    """A normal times gamma plus beta, in the type of the call.

    Parameters
    ----------
    builder : BlockBuilder
    call : Call
        The norm. Its attributes ``scale`` and ``center`` say which weights count.
    value : Expr
        The normal, of the shape of the norm's operand.
    weights : sequence of Expr
        gamma, and beta if the norm has one.
    axes : sequence of int
        The axes of the operand that the weights' dimensions belong to, in their order.
    """
    shape = list(call.args[0].ty.shape)
    gamma, *beta = (_spread(builder, weight, axes, shape) for weight in weights)
    narrow = dtype(gamma) != dtype(value)
    gamma, *beta = (
        builder.emit(op.astype(w, dtype(value))) if narrow else w for w in (gamma, *beta)
    )
    if getattr(call.attrs, "scale", True):
        value = builder.emit(op.multiply(value, gamma))
    if beta and getattr(call.attrs, "center", True):
        value = builder.emit(op.add(value, beta[0]))
    return op.astype(value, dtype(call.args[0])) if narrow else value


def _axes(call: relax.Call) -> list[int]:
    return [int(a) % call.args[0].ty.ndim for a in call.attrs.axes]


def layer_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """layer_norm, or rms_norm, which has no beta."""
    x, *weights = call.args
    axes = _axes(call)
    value = normalized(builder, x, axes, float(call.attrs.epsilon), len(weights) == 2)
    return weighted(builder, call, value, weights, axes)


def instance_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """instance_norm over any axes."""
    x, *weights = call.args
    channel = int(call.attrs.channel_axis) % x.ty.ndim
    value = normalized(builder, x, _axes(call), float(call.attrs.epsilon))
    return weighted(builder, call, value, weights, [channel])


def group_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """group_norm over any axes and over the channels of a group."""
    x, *weights = call.args
    shape, groups = list(x.ty.shape), int(call.attrs.num_groups)
    channel = int(call.attrs.channel_axis) % len(shape)
    split = [*shape[:channel], groups, shape[channel] // groups, *shape[channel + 1 :]]
    axes = [channel + 1, *(a + (a > channel) for a in _axes(call) if a != channel)]
    apart = builder.emit(op.reshape(x, split))
    value = normalized(builder, apart, sorted(axes), float(call.attrs.epsilon))
    value = builder.emit(op.reshape(value, shape))
    return weighted(builder, call, value, weights, [channel])
