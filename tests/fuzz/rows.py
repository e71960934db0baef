"""Reductions, softmaxes, norms: nodes that compute over rows."""

import numpy as np

from .graph import Graph, Skip
from .makers import axis_of, makes, scalar


@makes("Softmax", weight=4.0)
@makes("LogSoftmax", weight=1.5)
@makes("Hardmax", weight=0.4)
def over_axis(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 4))
    g.one(op, x, **({"axis": axis_of(g, g.values[x])} if g.chance(0.8) else {}))


REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


@makes(*REDUCTIONS, weight=0.8)
def reduction(g: Graph, op: str) -> None:
    types = (np.float32, np.float32, np.float32, np.int64, np.int32)
    x = g.operand(np.float32 if "Log" in op or op == "ReduceL2" else types, rank=(0, 4))
    value = g.values[x]
    if op in ("ReduceLogSum", "ReduceProd") and value.dtype == np.float32:
        x = g.one("Add", g.one("Abs", x, keep=False), scalar(g, 0.5), keep=False)
        if op == "ReduceProd":
            x = g.one("Min", x, scalar(g, 1.25), keep=False)
    attributes = {"keepdims": g.integer(0, 1)} if g.chance(0.7) else {}
    as_input = g.opset >= (13 if op == "ReduceSum" else 18)
    if not value.ndim or g.chance(0.15):
        if as_input and g.chance(0.5):
            g.one(op, x, g.ints(), noop_with_empty_axes=g.integer(0, 1), **attributes)
        else:
            g.one(op, x, **attributes)
        return
    axes = [int(a) for a in g.random.permutation(value.ndim)[: g.integer(1, min(value.ndim, 3))]]
    if g.opset >= 11:
        axes = [a - value.ndim if g.chance(0.5) else a for a in axes]
    if as_input:
        g.one(op, x, g.ints(*axes), **attributes)
    else:
        g.one(op, x, axes=axes, **attributes)


@makes("ArgMax", "ArgMin", weight=0.7)
def arg_reduction(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int32), rank=(1, 4), where=lambda v: v.size)
    attributes = {"axis": axis_of(g, g.values[x])} if g.chance(0.8) else {}
    if g.chance(0.6):
        attributes["keepdims"] = g.integer(0, 1)
    if g.opset >= 12 and g.chance(0.4):
        attributes["select_last_index"] = g.integer(0, 1)
    g.one(op, x, **attributes)


@makes("TopK")
def top_k(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64), rank=(1, 3), where=lambda v: v.size)
    axis = axis_of(g, g.values[x])
    k = g.integer(1, g.values[x].shape[axis])
    if g.opset < 10:
        g.node(op, [x], 2, axis=axis % g.values[x].ndim, k=k)
        return
    largest = {"largest": g.integer(0, 1)} if g.opset >= 11 and g.chance(0.6) else {}
    g.node(op, [x, g.ints(k)], 2, axis=axis, **largest)


@makes("CumSum")
def cumulative(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64, np.int32), rank=(1, 4))
    axis = g.constant(axis_of(g, g.values[x]), np.int64)
    g.one(op, x, axis, exclusive=g.integer(0, 1), reverse=g.integer(0, 1))


def _epsilon(g: Graph) -> dict[str, float]:
    return {"epsilon": g.pick([1e-5, 1e-3, 1e-2])} if g.chance(0.6) else {}


@makes("LayerNormalization", weight=2.5)
@makes("RMSNormalization", weight=1.0)
def layer_norm(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 4))
    value = g.values[x]
    axis = axis_of(g, value) if g.chance(0.4) else -1
    shape = value.shape[axis % value.ndim :]
    if g.chance(0.15):
        shape = tuple(n if g.chance(0.5) else 1 for n in shape)[-g.integer(1, len(shape)) :]
    bias = [g.weights(*shape)] if op[0] == "L" and g.chance(0.7) else []
    g.one(op, x, g.weights(*shape), *bias, axis=axis, **_epsilon(g))


@makes("BatchNormalization", weight=1.5)
@makes("InstanceNormalization", weight=1.5)
@makes("GroupNormalization", weight=1.0)
def channel_norm(g: Graph, op: str) -> None:
    least = 2 if op[0] == "B" else 3
    x = g.operand(rank=(least, 5), where=lambda v: v.size and v.shape[1] > 0)
    channels = g.values[x].shape[1]
    more, groups = [], {}
    count = channels
    if op[0] == "B":
        spread = np.abs(g.random.standard_normal(channels)) + 0.3
        more = [g.weights(channels), g.constant(spread, np.float32)]
    if op[0] == "G":
        if g.opset < 18:
            raise Skip
        groups = {"num_groups": g.pick([d for d in range(1, channels + 1) if channels % d == 0])}
        count = channels if g.opset >= 21 else groups["num_groups"]
    g.one(op, x, g.weights(count), g.weights(count), *more, **groups, **_epsilon(g))


@makes("MeanVarianceNormalization", weight=0.7)
def mean_variance(g: Graph, op: str) -> None:
    x = g.operand(rank=4)
    g.one(op, x, **({"axes": g.pick([[0, 1, 2, 3], [2, 3], [1, 2, 3]])} if g.chance(0.6) else {}))


@makes("LRN", weight=0.7)
def local_response(g: Graph, op: str) -> None:
    x = g.operand(rank=4, where=lambda v: v.size)
    options = {"alpha": 0.02, "beta": 0.5, "bias": 2.0} if g.chance(0.5) else {}
    g.one(op, x, size=g.pick([1, 3, 5]), **options)


@makes("SkipLayerNormalization", weight=0.5)
def skip_norm(g: Graph, op: str) -> None:
    x = g.operand(rank=3)
    shape = g.values[x].shape
    bias = [g.weights(shape[-1])] if g.chance(0.6) else []
    if bias and g.chance(0.5):
        bias.append(g.weights(shape[-1]))
    skip = g.input(np.float32, shape)
    g.node(op, [x, skip, g.weights(shape[-1]), *bias], domain="com.microsoft", epsilon=1e-4)
