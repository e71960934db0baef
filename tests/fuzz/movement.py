"""Nodes that move, select, repeat or count elements."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .graph import Graph, Skip
from .makers import axis_of, makes, scalar

ANY = (np.float32, np.float32, np.float32, np.int64, np.int32, np.bool_, np.float64)


@makes("Reshape", weight=1.5)
def reshape(g: Graph, op: str) -> None:
    x = g.operand(ANY)
    shape = g.values[x].shape
    left, sizes = int(np.prod(shape)), []
    if left == 0:
        g.one(op, x, g.ints(*g.pick([shape, (0, 3), (0,), (2, 0, 1)])), allowzero=1)
        return
    while left > 1 and len(sizes) < 4 and not (sizes and g.chance(0.25)):
        sizes.append(g.pick([d for d in range(1, left + 1) if left % d == 0][:16]))
        left //= sizes[-1]
    sizes.append(left)
    g.random.shuffle(sizes)
    if g.chance(0.4):
        sizes[g.integer(0, len(sizes) - 1)] = -1
    elif sizes[0] == (shape or (None,))[0]:
        sizes[0] = 0
    g.one(op, x, g.ints(*sizes))


@makes("Transpose", weight=1.5)
def transpose(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(1, 5))
    order = [int(n) for n in g.random.permutation(g.values[x].ndim)]
    g.one(op, x, **({} if g.chance(0.2) else {"perm": order}))


@makes("Slice", weight=3.0)
def slices(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(1, 5))
    shape = g.values[x].shape
    count = g.integer(1, min(2, len(shape)))
    axes = [int(a) for a in g.random.permutation(len(shape))[:count]]
    starts, ends, steps = [], [], []
    for axis in axes:
        n = shape[axis]
        plain = g.chance(0.5)  # as in causal convolutions and cropped logits
        starts.append(0 if plain else g.integer(-n - 1, n + 1))
        ends.append(g.pick([n - 1, -1, max(1, n // 2), g.integer(-n - 1, n + 1), 2**62, -(2**62)]))
        steps.append(1 if plain or g.opset < 10 else g.pick([1, 1, 2, 3, -1, -2]))
    axes = [a - len(shape) if g.chance(0.5) else a for a in axes]
    if g.opset < 10:
        g.one(op, x, starts=starts, ends=ends, axes=axes)
    else:
        extra = [g.ints(*steps)] if any(s != 1 for s in steps) or g.chance(0.5) else []
        g.one(op, x, g.ints(*starts), g.ints(*ends), g.ints(*axes), *extra)


@makes("Concat", weight=2.0)
def concat(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(1, 4))
    value = g.values[x]
    axis = axis_of(g, value)

    def fits(other: np.ndarray) -> bool:
        a, b = list(value.shape), list(other.shape)
        if len(a) != len(b) or other.dtype != value.dtype:
            return False
        a[axis] = b[axis] = 0
        return a == b

    fitting = [n for n in g.pool if fits(g.values[n])]
    operands = [x] + [g.pick(fitting) for _ in range(g.pick([0, 1, 1, 2]))]
    if g.chance(0.3):
        shape = list(value.shape)
        shape[axis] = g.pick([0, 1, 2, 5])
        operands.append(g.constant(g.array(value.dtype, shape)))
    g.random.shuffle(operands)
    g.one(op, *operands, axis=axis)


@makes("Split", weight=1.5)
def split(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(1, 4), where=lambda v: max(v.shape) > 1)
    value = g.values[x]
    axis = axis_of(g, value)
    n = value.shape[axis]
    parts = g.integer(1, 3)
    if g.chance(0.3):
        if g.opset >= 18:
            g.node(op, [x], parts, axis=axis, num_outputs=parts)
        elif n % parts == 0:
            g.node(op, [x], parts, axis=axis)
        return
    cuts = np.sort(g.random.integers(0, n + 1, parts - 1))
    sizes = [int(s) for s in np.diff([0, *cuts, n])]
    if g.opset >= 13:
        g.node(op, [x, g.ints(*sizes)], parts, axis=axis)
    else:
        g.node(op, [x], parts, axis=axis, split=sizes)


def indices(g: Graph, low: int, high: int, shape: tuple[int, ...], dtype: type = np.int64) -> str:
    """A constant or an input of integers, from low to below high."""
    value = np.asarray(g.random.integers(low, high, shape)).astype(dtype)
    return g.constant(value) if g.chance(0.6) else g.input(dtype, shape, value)


@makes("Gather", weight=1.5)
def gather(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(1, 4), where=lambda v: v.size)
    value = g.values[x]
    axis = axis_of(g, value)
    n = value.shape[axis]
    shape = g.pick([(), (1,), (3,), (2, 2), (0,), (17,)])
    low = 0 if g.opset < 11 else -n
    g.one(op, x, indices(g, low, n, shape, g.pick([np.int64, np.int32])), axis=axis)


@makes("GatherElements", "ScatterElements", "Scatter", weight=0.7)
def elements(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64), rank=(1, 3), where=lambda v: v.size)
    value = g.values[x]
    axis = axis_of(g, value)
    n = value.shape[axis]
    shape = [g.integer(1, d) for d in value.shape]
    if op == "GatherElements":
        shape[axis] = g.integer(1, n + 2)
        g.one(op, x, indices(g, -n, n, tuple(shape)), axis=axis)
        return
    # Each place occurs once, else the result would depend on the order.
    row = g.random.permutation(n)[: shape[axis]]
    line = np.reshape(row, [-1 if a == axis % value.ndim else 1 for a in range(value.ndim)])
    places = np.broadcast_to(line, shape).astype(np.int64)
    updates = g.constant(g.array(value.dtype, shape))
    reduction = {}
    if op == "ScatterElements" and g.opset >= 16 and g.chance(0.5):
        reduction = {
            "reduction": g.pick(["none", "add", "mul", *["max", "min"][: g.opset // 18 * 2]])
        }
    if op == "Scatter" and g.opset > 10:
        raise Skip
    g.one(op, x, g.constant(places), updates, axis=axis, **reduction)


@makes("GatherND", "ScatterND", weight=0.7)
def by_tuples(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64), rank=(1, 4), where=lambda v: v.size)
    value = g.values[x]
    batch = g.integer(0, value.ndim - 1) if op == "GatherND" and g.opset >= 12 else 0
    depth = g.integer(1, value.ndim - batch)
    count = g.integer(1, 4)
    low = [-n if g.chance(0.3) else 0 for n in value.shape[batch : batch + depth]]
    tuples = np.stack(
        [
            g.random.integers(a, n, (*value.shape[:batch], count))
            for a, n in zip(low, value.shape[batch : batch + depth], strict=True)
        ],
        axis=-1,
    ).astype(np.int64)
    if op == "GatherND":
        g.one(op, x, g.constant(tuples), **({"batch_dims": batch} if batch else {}))
        return
    wrapped = tuples % np.array(value.shape[:depth])
    _, first = np.unique(wrapped.reshape(count, depth), axis=0, return_index=True)
    tuples = tuples.reshape(count, depth)[np.sort(first)]
    updates = g.constant(g.array(value.dtype, (len(tuples), *value.shape[depth:])))
    reduction = {}
    if g.opset >= 16 and g.chance(0.5):
        reduction = {"reduction": g.pick(["none", "add", "mul"])}
    g.one(op, x, g.constant(tuples), updates, **reduction)


@makes("Pad", weight=2.0)
def pad(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64), rank=(1, 4))
    value = g.values[x]
    mode = g.pick(["constant", "constant", "reflect", "edge", *(["wrap"] if g.opset >= 19 else [])])
    if 0 in value.shape:
        mode = "constant"
    axes = list(range(value.ndim))
    given = []
    if g.opset >= 18 and g.chance(0.3):
        axes = axes[: g.integer(1, value.ndim)]
        given = ["", g.ints(*[a - value.ndim if g.chance(0.5) else a for a in axes])]
    limit = [value.shape[a] - 1 if mode == "reflect" else 3 for a in axes] * 2
    amounts = [g.integer(0, min(3, m)) if g.chance(0.6) else 0 for m in limit]
    if mode == "constant" and g.chance(0.2):
        amounts = [
            -1 if a == 0 and value.shape[axes[k % len(axes)]] > 3 and g.chance(0.3) else a
            for k, a in enumerate(amounts)
        ]
    fill = g.pick([0.0, 0.0, 1.5, -np.inf]) if value.dtype == np.float32 else 2
    if g.opset < 11:
        g.one(op, x, mode=mode, pads=amounts, **({"value": 1.5} if g.chance(0.4) else {}))
        return
    if mode == "constant" and g.chance(0.6):
        given = [scalar(g, fill, value.dtype), *given[1:]]
    g.one(op, x, g.ints(*amounts), *given, mode=mode)


@makes("Expand")
def expand(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(0, 3))
    shape = [g.pick([1, 2, 3, 17]) if n == 1 else g.pick([n, 1]) for n in g.values[x].shape]
    g.one(op, x, g.ints(*[g.pick([1, 2])] * g.pick([0, 0, 1]), *shape))


@makes("Unsqueeze", "Squeeze")
def ranks(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(0 if op == "Unsqueeze" else 1, 4))
    shape = g.values[x].shape
    if op == "Squeeze":
        axes = [a for a, n in enumerate(shape) if n == 1 and g.chance(0.7)]
        if not axes:
            raise Skip
        count = len(shape)
    else:
        count = len(shape) + g.integer(1, 2)
        axes = [int(a) for a in g.random.permutation(count)[: count - len(shape)]]
    if g.opset >= 11:
        axes = [a - count if g.chance(0.4) else a for a in axes]
    if g.opset >= 13:
        g.one(op, x, g.ints(*axes))
    else:
        g.one(op, x, axes=axes)


@makes("Flatten")
def flatten(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 4))
    rank = g.values[x].ndim
    g.one(op, x, axis=g.integer(-rank if g.opset >= 11 else 0, rank))


@makes("Tile")
def tile(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(1, 4), where=lambda v: v.size < 600)
    g.one(op, x, g.ints(*[g.pick([1, 1, 2, 3]) for _ in g.values[x].shape]))


@makes("Trilu")
def trilu(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64, np.bool_), rank=(2, 4))
    k = [g.constant(g.integer(-2, 2), np.int64)] if g.chance(0.7) else []
    g.one(op, x, *k, **({"upper": g.integer(0, 1)} if g.chance(0.7) else {}))


@makes("OneHot", weight=0.7)
def one_hot(g: Graph, op: str) -> None:
    depth = g.integer(2, 9)
    x = indices(g, -depth if g.opset >= 11 else 0, depth, g.shape(g.integer(1, 2), 64))
    values = g.constant([0.0, 1.0] if g.chance(0.5) else [-2.0, 5.0], np.float32)
    rank = g.values[x].ndim
    g.one(op, x, g.constant(depth, np.int64), values, axis=g.integer(-rank - 1, rank))


@makes("Shape", "Size", weight=0.7)
def extents(g: Graph, op: str) -> None:
    x = g.operand(ANY, rank=(0, 4))
    rank = g.values[x].ndim
    ends = {}
    if op == "Shape" and g.opset >= 15 and g.chance(0.5):
        ends = {"start": g.integer(-rank - 1, rank), "end": g.integer(-rank - 1, rank + 1)}
    g.one(op, x, **ends)


@makes("Range", weight=0.5)
def arange(g: Graph, op: str) -> None:
    dtype = g.pick([np.int64, np.int32, np.float32])
    start, step = g.integer(-5, 5), g.pick([1, 2, -1, -3])
    stop = start + step * g.integer(0, 9) + g.pick([0, 0, 1])
    g.one(op, *(scalar(g, v, dtype) for v in (start, stop, step)))


@makes("ConstantOfShape", weight=0.5)
def filled(g: Graph, op: str) -> None:
    shape = g.ints(*g.shape(g.integer(0, 3), 200))
    fill = numpy_helper.from_array(np.array([g.integer(-2, 2)], g.pick([np.float32, np.int64])))
    g.one(op, shape, **({"value": fill} if g.chance(0.7) else {}))


@makes("Constant", weight=0.5)
def constant(g: Graph, op: str) -> None:
    way = g.pick(["value", "value", "value_float", "value_floats", "value_int", "value_ints"])
    value = {
        "value": numpy_helper.from_array(g.array(np.float32, g.shape(g.integer(0, 2), 200))),
        "value_float": 0.75,
        "value_floats": [0.5, -1.0, 2.0],
        "value_int": 3,
        "value_ints": [1, 0, 2],
    }[way]
    g.one(op, **{way: value})


@makes("EyeLike", weight=0.4)
def eye(g: Graph, op: str) -> None:
    options = {"dtype": g.pick([TensorProto.FLOAT, TensorProto.INT64])} if g.chance(0.5) else {}
    g.one(op, g.operand(rank=2), **options, **({"k": g.integer(-2, 2)} if g.chance(0.5) else {}))


@makes("NonZero", weight=0.4)
def non_zero(g: Graph, op: str) -> None:
    g.one(op, g.operand((np.float32, np.int64, np.bool_), rank=(1, 3)))


@makes("Compress", weight=0.4)
def compress(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 3), where=lambda v: v.size)
    value = g.values[x]
    axis = axis_of(g, value) if g.chance(0.7) else None
    n = value.size if axis is None else value.shape[axis]
    chosen = g.random.random(g.integer(1, n)) < 0.5
    mask = g.constant(chosen) if g.chance(0.5) else g.input(np.bool_, chosen.shape, chosen)
    g.one(op, x, mask, **({} if axis is None else {"axis": axis}))


@makes("Unique", weight=0.4)
def unique(g: Graph, op: str) -> None:
    x = g.operand((np.int64, np.float32), rank=1, where=lambda v: not np.isnan(v).any())
    g.node(op, [x], g.integer(1, 4), sorted=g.pick([1, 1, 0]))


@makes("DepthToSpace", "SpaceToDepth", weight=0.7)
def blocks(g: Graph, op: str) -> None:
    size = g.pick([2, 2, 3])
    channels, height, width = g.integer(1, 3), g.integer(1, 4), g.integer(1, 4)
    if op == "DepthToSpace":
        shape = (g.integer(1, 2), channels * size * size, height, width)
        mode = {"mode": g.pick(["DCR", "CRD"])} if g.opset >= 11 and g.chance(0.7) else {}
    else:
        shape, mode = (g.integer(1, 2), channels, height * size, width * size), {}
    g.one(op, g.input(np.float32, shape), blocksize=size, **mode)


@makes("If", weight=0.4)
def branches(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 3), where=lambda v: v.size)
    shape = g.values[x].shape
    names = [g.name("branch") + end for end in ("_then", "_else")]
    graphs = [
        helper.make_graph(
            [helper.make_node(inner, [x], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        )
        for inner, name in zip(
            g.random.permutation(["Neg", "Tanh", "Relu"])[:2], names, strict=True
        )
    ]
    value = np.array(g.chance(0.5))
    condition = g.constant(value) if g.chance(0.3) else g.input(np.bool_, (), value)
    g.one(op, condition, reads=[x], then_branch=graphs[0], else_branch=graphs[1])
