"""Arithmetic on shapes as exporters write it: sizes that follow from the extents of tensors."""

import numpy as np
from onnx import TensorProto, numpy_helper

from .graph import Graph, Skip
from .makers import makes, scalar

LONG = 40  # rows of a table of positions


def _vector(g: Graph, name: str) -> str:
    """A scalar as a vector of one element."""
    if g.opset < 13:
        return g.one("Unsqueeze", name, axes=[0], keep=False)
    return g.one("Unsqueeze", name, g.ints(0), keep=False)


def length(g: Graph, x: str, axis: int, scalar_too: bool = False) -> str:
    """The extent of a tensor along an axis: a vector of one element, or a scalar."""
    rank = g.values[x].ndim
    if not scalar_too and g.opset >= 15 and g.chance(0.2):
        end = {"end": axis + 1} if axis + 1 < rank else {}
        return g.one("Shape", x, start=axis, keep=False, **end)
    shape = g.one("Shape", x, keep=False)
    if g.chance(0.3):
        shape = g.one("Cast", shape, to=TensorProto.INT64, keep=False)
    if not scalar_too and g.opset >= 10 and g.chance(0.3):
        return g.one("Slice", shape, g.ints(axis), g.ints(axis + 1), g.ints(0), keep=False)
    index = axis - rank if g.opset >= 11 and g.chance(0.3) else axis
    if not scalar_too and g.chance(0.4):
        return g.one("Gather", shape, g.ints(index), axis=0, keep=False)
    one = g.one("Gather", shape, g.constant(index, np.int64), axis=0, keep=False)
    return one if scalar_too else _vector(g, one)


def _joined(g: Graph, *sizes: str) -> str:
    return g.one("Concat", *sizes, axis=0, keep=False)


def _number(g: Graph, operator: str, size: str, other: int) -> str:
    """A size with a constant."""
    return g.one(operator, size, g.constant(other, np.int64), keep=False)


@makes("reshape_by_shape", weight=2.0)
def reshape(g: Graph, name: str) -> None:
    """Batch and length are kept, heads are split; or neighbours are merged."""
    x = g.operand(rank=(2, 4), where=lambda v: v.size)
    shape = g.values[x].shape
    way = g.pick(["split", "merge", "rest", "order"])
    sizes = [length(g, x, axis) for axis in range(len(shape))]
    last = shape[-1]
    parts = g.pick([d for d in range(1, last + 1) if last % d == 0])
    if way == "split":
        tail = g.pick([[parts, -1], [-1, parts], [parts, last // parts]])
        g.one("Reshape", x, _joined(g, *sizes[:-1], g.ints(*tail)))
    elif way == "merge":
        both = g.one("Mul", sizes[0], sizes[1], keep=False)
        if g.chance(0.5):
            y = g.one("Reshape", x, _joined(g, both, *(sizes[2:] or [g.ints(-1)])))
            g.one("Reshape", y, _joined(g, *sizes))
        else:
            g.one("Reshape", x, _joined(g, *sizes[2:], both))
    elif way == "rest":
        g.one("Reshape", x, _joined(g, sizes[0], g.ints(-1)))
    else:
        order = [int(n) for n in g.random.permutation(len(shape))]
        y = g.one("Transpose", x, perm=order)
        g.one("Reshape", y, _joined(g, *(sizes[k] for k in order[:-2]), g.ints(-1)))


@makes("expand_as", weight=1.5)
def expand(g: Graph, name: str) -> None:
    """A tensor expanded by the shape of another, often with -1 replaced as exporters do."""
    y = g.operand(rank=(1, 4))
    shape = g.values[y].shape
    small = tuple(1 if g.chance(0.6) else n for n in shape)
    if all(n == 1 for n in small):
        x = g.weights(*small[g.integer(0, len(small)) :])
    else:
        x = (
            g.one("ReduceSum", y, keepdims=1)
            if g.opset < 13
            else g.one("ReduceMax", y, keepdims=1, keep=False)
        )
    sizes = g.one("Shape", y, keep=False)
    if g.chance(0.5):
        ones = g.one("ConstantOfShape", g.ints(len(shape)), value=_int64(1), keep=False)
        none = g.one("Mul", ones, g.constant(-1, np.int64), keep=False)
        same = g.one("Equal", sizes, none, keep=False)
        sizes = g.one("Where", same, ones, sizes, keep=False)
    z = g.one("Expand", x, sizes)
    if g.chance(0.5):
        g.one(g.pick(["Add", "Mul"]), z, y)


def _int64(value: int) -> object:
    return numpy_helper.from_array(np.array([value], np.int64))


@makes("slice_to_length", weight=2.0)
def slice_to(g: Graph, name: str) -> None:
    """The first rows of a table of positions, or a tensor cut to the length of another."""
    if g.opset < 10:
        raise Skip
    y = g.operand(rank=(1, 4), where=lambda v: max(v.shape) <= LONG)
    rank = g.values[y].ndim
    axis = g.integer(0, rank - 1)
    end = length(g, y, axis)
    if g.chance(0.3):
        end = _number(g, g.pick(["Add", "Sub"]), end, g.pick([1, 2]))
    if g.chance(0.6):
        x = g.weights(LONG, *(1 for _ in range(rank - axis - 1)))
        rows = g.one("Slice", x, g.ints(0), end, g.ints(0), g.ints(1))
        if len(g.values[rows]) == g.values[y].shape[axis]:
            g.one("Add", y, rows)
        return
    x = g.operand(rank=(1, 4))
    at = g.integer(0, g.values[x].ndim - 1)
    if g.chance(0.5):
        g.one("Slice", x, g.ints(0), end, g.ints(at))
    else:  # the last elements
        start = g.one("Neg", end, keep=False)
        g.one("Slice", x, start, g.ints(2**62), g.ints(at))


@makes("halves", weight=1.5)
def halves(g: Graph, name: str) -> None:
    """Two parts of an axis, whose border is computed, in the other order: rotary embeddings."""
    if g.opset < 10:
        raise Skip
    x = g.operand(rank=(1, 4), where=lambda v: v.size)
    axis = g.integer(0, g.values[x].ndim - 1)
    middle = _number(g, "Div", length(g, x, axis), 2)
    first = g.one("Slice", x, g.ints(0), middle, g.ints(axis), keep=False)
    second = g.one("Slice", x, middle, g.ints(2**62), g.ints(axis), keep=False)
    turned = g.one("Neg", second, keep=False)
    y = g.one("Concat", turned, first, axis=axis)
    if g.chance(0.4):
        g.one("Add", x, y)


@makes("range_of_length", weight=1.5)
def positions(g: Graph, name: str) -> None:
    """Positions, or a mask that compares positions."""
    if g.opset < 11:
        raise Skip
    x = g.operand(rank=(1, 4), where=lambda v: max(v.shape) <= LONG)
    axis = g.integer(0, g.values[x].ndim - 1)
    end = length(g, x, axis, scalar_too=True)
    start = g.constant(0, np.int64)
    if g.chance(0.3):
        end = _number(g, "Add", end, 2)
        start = g.constant(2, np.int64)
    row = g.one("Range", start, end, g.constant(1, np.int64))
    if g.chance(0.5):
        column = g.one("Reshape", row, g.ints(-1, 1), keep=False)
        mask = g.one(g.pick(["Less", "Equal", "Greater"]), row, column)
        if g.chance(0.7):
            low = scalar(g, g.pick([-10000.0, -np.inf]))
            scores = g.one("Where", mask, scalar(g, 0.0), low)
            if axis == g.values[x].ndim - 1:
                g.one("Softmax", g.one("Cast", scores, to=TensorProto.FLOAT, keep=False), axis=-1)
    elif g.chance(0.5):
        floats = g.one("Cast", row, to=TensorProto.FLOAT, keep=False)
        g.one("Mul", floats, scalar(g, 0.1))
    else:
        table = g.weights(LONG + 2, g.integer(1, 5))
        g.one("Gather", table, row, axis=0)


@makes("filled_as", weight=1.0)
def filled(g: Graph, name: str) -> None:
    """A constant of a computed shape, as states and masks begin."""
    x = g.operand(rank=(1, 4))
    rank = g.values[x].ndim
    if g.chance(0.4):
        sizes = g.one("Shape", x, keep=False)
    else:
        axes = [int(a) for a in g.random.permutation(rank)[: g.integer(1, rank)]]
        parts = [length(g, x, axis) for axis in axes]
        more = [g.ints(g.integer(1, 4))] if g.chance(0.5) else []
        sizes = _joined(g, *parts, *more)
    fill = numpy_helper.from_array(np.array([g.pick([0, 1, -2])], np.float32))
    y = g.one("ConstantOfShape", sizes, value=fill)
    if g.values[y].shape == g.values[x].shape:
        g.one("Concat", x, y, axis=g.integer(0, rank - 1))


@makes("where_equal", weight=1.0)
def kept_sizes(g: Graph, name: str) -> None:
    """Expand to a shape in which -1 keeps the extent: torch's ``expand``."""
    x = g.operand(rank=(2, 3))
    y = g.operand(rank=(1, 4))
    shape = g.values[x].shape
    ones = [k for k, n in enumerate(shape) if n == 1]
    given = [g.ints(-1) for _ in shape]
    if ones:
        given[g.pick(ones)] = length(g, y, g.integer(0, g.values[y].ndim - 1))
    else:
        given.insert(0, length(g, y, 0))
    wanted = _joined(g, *given)
    same = g.one("Equal", wanted, g.ints(*[-1] * len(given)), keep=False)
    sizes = g.one("Where", same, g.ints(*[1] * len(given)), wanted, keep=False)
    g.one("Expand", x, sizes)
