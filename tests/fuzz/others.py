"""Quantization, attention as one node, box suppression, sequences and optionals."""

import numpy as np

from .graph import Graph, Skip
from .makers import axis_of, makes, scalar


@makes("QuantizeLinear", "DequantizeLinear", weight=0.8)
def quantization(g: Graph, op: str) -> None:
    dtype = g.pick([np.uint8, np.int8])
    x = g.operand(np.float32 if op[0] == "Q" else dtype, rank=(1, 4))
    value = g.values[x]
    if op[0] == "Q" and not np.isfinite(value).all():
        raise Skip
    axis = axis_of(g, value)
    n = value.shape[axis]
    by_axis = g.opset >= 13 and g.chance(0.4)
    scales = g.random.uniform(0.02, 0.2, n) if by_axis else g.random.uniform(0.02, 0.2)
    zeros = g.random.integers(0, 9, n) if by_axis else g.integer(0, 9)
    more = [g.constant(zeros, dtype)] if g.chance(0.7) else []
    if not more and dtype == np.int8 and op[0] == "Q":
        raise Skip
    attributes = {"axis": axis} if by_axis else {}
    y = g.one(op, x, g.constant(scales, np.float32), *more, **attributes)
    if op[0] == "Q" and g.chance(0.5):
        g.one("DequantizeLinear", y, *g.nodes[-1].input[1:], **attributes)


@makes("DynamicQuantizeLinear", weight=0.4)
def dynamic_quantization(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 3), where=lambda v: v.size and np.isfinite(v).all())
    g.node(op, [x], 3)


@makes("Attention", weight=0.8)
def attention(g: Graph, op: str) -> None:
    batch, heads, rows, columns, depth, out = (
        g.integer(1, 2), g.integer(1, 3), g.pick([1, 2, 5, 16, 17]), g.pick([1, 3, 8, 17]),
        g.pick([1, 3, 4, 8, 16]), g.pick([1, 4, 5, 8, 16]),
    )  # fmt: skip
    if g.opset < 23:  # Microsoft's operators: projections, then attention
        width, head = heads * depth, g.input(np.float32, (batch, rows, 8))
        w, b = g.weights(8, 3 * width, scale=0.3), g.weights(3 * width, scale=0.3)
        g.node(op, [head, w, b], domain="com.microsoft", num_heads=heads)
        return
    q = g.input(np.float32, (batch, heads, rows, depth))
    k = g.input(np.float32, (batch, heads, columns, depth))
    v = g.input(np.float32, (batch, heads, columns, out))
    options: dict[str, object] = {"scale": 0.25} if g.chance(0.3) else {}
    if g.chance(0.3):
        options["is_causal"] = 1
    if g.chance(0.2):
        options["softcap"] = 2.0
    mask = []
    if g.chance(0.4):
        shape = [n if g.chance(0.6) else 1 for n in (batch, heads, rows)] + [columns]
        mask = [g.weights(*shape) if g.chance(0.5) else g.constant(g.random.random(shape) < 0.8)]
    g.one(op, q, k, v, *mask, **options)


@makes("EmbedLayerNormalization", weight=0.3)
def embedding(g: Graph, op: str) -> None:
    batch, length, width = g.integer(1, 2), g.integer(1, 9), g.pick([4, 8, 16])
    words = np.asarray(g.random.integers(0, 7, (batch, length))).astype(np.int32)
    ids = g.input(np.int32, words.shape, words)
    segments = g.input(np.int32, words.shape, (words > 3).astype(np.int32))
    tables = [g.weights(n, width) for n in (7, length, 2)]
    g.node(
        op, [ids, segments, *tables, g.weights(width), g.weights(width)], 2,
        domain="com.microsoft", epsilon=1e-4,
    )  # fmt: skip


@makes("NonMaxSuppression", weight=0.4)
def suppression(g: Graph, op: str) -> None:
    batch, classes, count = g.integer(1, 2), g.integer(1, 3), g.integer(1, 8)
    corner = g.random.random((batch, count, 2)) * 3
    boxes = np.concatenate([corner, corner + 0.5 + g.random.random(corner.shape)], -1)
    scores = g.random.random((batch, classes, count))
    limits = [g.constant(g.integer(1, 5), np.int64), scalar(g, 0.4), scalar(g, 0.2)]
    given = [g.input(np.float32, a.shape, a.astype(np.float32)) for a in (boxes, scores)]
    g.one(op, *given, *limits[: g.integer(1, 3)])


@makes("sequences", weight=0.5)
def sequences(g: Graph, op: str) -> None:
    """SequenceConstruct or SplitToSequence, changes of the sequence, and tensors from it."""
    if g.opset < 11:
        raise Skip
    x = g.operand(rank=(1, 3))
    value = g.values[x]
    operands = [x] + [g.input(np.float32, value.shape) for _ in range(g.integer(0, 2))]
    way = g.pick(["at", "concat", "length", "insert", "erase", "split", "empty"])
    with g.together() as add:
        if way == "split":
            sequence = add("SplitToSequence", [x], axis=0, keepdims=g.integer(0, 1))
        elif way == "empty":
            sequence = add("SequenceInsert", [add("SequenceEmpty", []), x])
        else:
            sequence = add("SequenceConstruct", operands)
        if way == "insert":
            sequence = add("SequenceInsert", [sequence, x, g.constant(0, np.int64)])
        if way == "erase":
            sequence = add("SequenceErase", [sequence, g.constant(-1, np.int64)])
        if way == "length":
            add("SequenceLength", [sequence])
        elif way == "concat":
            add("ConcatFromSequence", [sequence], axis=g.integer(0, value.ndim - 1))
        else:
            add("SequenceAt", [sequence, g.constant(g.pick([0, -1]), np.int64)])


@makes("optionals", weight=0.2)
def optionals(g: Graph, op: str) -> None:
    """A tensor that goes through Optional and back."""
    if g.opset < 15:
        raise Skip
    x = g.operand(rank=(1, 3))
    with g.together() as add:
        optional = add("Optional", [x])
        add(g.pick(["OptionalGetElement", "OptionalHasElement"]), [optional])
