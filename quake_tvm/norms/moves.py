"""What Relax's operators that only move elements do to the features, a rule an operator.

Knows no norm and no scale.
"""

from dataclasses import replace

import numpy as np
from tvm import relax

from .bounded import Bounded
from .known import Known, Rule
from .placed import Placed
from .typical import Typical


def fitted(x: Placed, rank: int) -> Placed:
    """With the rank of a result to which the tensor is broadcast."""
    more = rank - x.index.ndim
    return Placed(x.index.reshape([1] * more + list(x.index.shape)), x.bounded, x.typical)


def together(x: Placed, y: Placed) -> tuple[Placed, Placed]:
    """Both with the same index, that of their sum."""
    shape = np.broadcast_shapes(x.index.shape, y.index.shape)
    return x.spread(shape), y.spread(shape)


def _take(known: Known, call: relax.Call) -> Placed | None:
    table, places = call.args
    rows, axis = known.constant(table), call.attrs.axis
    if rows is not None:
        if rows.ndim != 2 or axis is None or int(axis) != 0:
            return None
        known_rows = Bounded.rows(rows), Typical.rows(rows)
        return Placed.last(call.ty.ndim, rows.shape[1], *known_rows)
    x, at = known.placed(table), known.constant(places)
    if x is None or axis is None:
        return None
    axis = int(axis) % x.index.ndim
    if x.index.shape[axis] == 1:
        shape = list(x.index.shape)
        index = x.index.reshape(shape[:axis] + [1] * places.ty.ndim + shape[axis + 1 :])
        return Placed(index, x.bounded, x.typical)
    if at is None:
        return None
    index = np.take(x.index, at.astype(int), axis)
    return Placed(index, x.bounded, x.typical).settled()


def _permute(known: Known, call: relax.Call) -> Placed | None:
    x, axes = known.placed(call.args[0]), call.attrs.axes
    order = None if axes is None else [int(a) for a in axes]
    return None if x is None else replace(x, index=np.transpose(x.index, order))


def _reshape(known: Known, call: relax.Call) -> Placed | None:
    x = known.placed(call.args[0])
    old, new = (known.graph.shape(e) for e in (call.args[0], call))
    return None if x is None or old is None or new is None else x.reshaped(old, new)


def _broadcast(known: Known, call: relax.Call) -> Placed | None:
    x = _placed_or_table(known, call.args[0])
    return None if x is None else fitted(x, call.ty.ndim)


def _placed_or_table(known: Known, expr: relax.Expr) -> Placed | None:
    """A tensor, or a constant as a table whose features lie along its last axis."""
    constant = known.constant(expr)
    if constant is None or not constant.ndim:
        return known.placed(expr)
    rows = constant.reshape(-1, constant.shape[-1])
    return Placed.last(constant.ndim, rows.shape[1], Bounded.rows(rows), Typical.rows(rows))


def parts(known: Known, call: relax.Call) -> list[Placed] | None:
    """What is known of the parts of a split."""
    x, cuts = known.placed(call.args[0]), call.attrs.indices_or_sections
    if x is None:
        return None
    axis = int(call.attrs.axis) % x.index.ndim
    if x.index.shape[axis] == 1:
        return [x] * len(call.ty.fields)
    where = int(cuts) if not hasattr(cuts, "__len__") else [int(n) for n in cuts]
    pieces = np.array_split(x.index, where, axis)
    return [Placed(piece, x.bounded, x.typical).settled() for piece in pieces]


def _slice(known: Known, call: relax.Call) -> Placed | None:
    x = known.placed(call.args[0])
    if x is None:
        return None
    numbers = [[getattr(n, "value", n) for n in part] for part in call.args[1:]]
    if len(numbers) == 3:
        numbers.append([1] * len(numbers[0]))
    index = x.index
    for axis, *cut in zip(*numbers, strict=True):
        if index.shape[axis] > 1:
            if not all(isinstance(n, int) for n in cut):
                return None
            index = np.take(index, range(index.shape[axis])[slice(*cut)], axis)
    return Placed(index, x.bounded, x.typical).settled()


def _concat(known: Known, call: relax.Call) -> Placed | None:
    """A concatenation of rows."""
    axis = int(call.attrs.axis) % call.ty.ndim
    first, *others = (_placed_or_table(known, field) for field in call.args[0].fields)
    for x in others:
        if first is None or x is None or max(x.index.shape[axis], first.index.shape[axis]) > 1:
            return None
        a, b = together(first, x)
        first = a.both(b, lambda one, two: one.joined(two))
    return first


def _same(known: Known, call: relax.Call) -> Placed | None:
    return known.placed(call.args[0])


def keeps_rows(known: Known, call: relax.Call) -> bool:
    """Whether the rows along the last axis of a result are those of its first operand."""
    old, new = known.graph.shape(call.args[0]), known.graph.shape(call)
    return bool(old and new and old[-1] == new[-1])


RULES: dict[str, Rule] = {
    "relax.astype": _same,
    "relax.broadcast_to": _broadcast,
    "relax.concat": _concat,
    "relax.expand_dims": _reshape,
    "relax.permute_dims": _permute,
    "relax.reshape": _reshape,
    "relax.squeeze": _reshape,
    "relax.strided_slice": _slice,
    "relax.take": _take,
}
