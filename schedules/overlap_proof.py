"""Prove that a tile may start at any column: each block reads only what was written for that tile.

TVM's schedules are correct for tiles that start at multiples of their step. Here a tile may start
anywhere up to the start of the last whole tile, and no primitive of TVM checks that. What this
module cannot show counts as wrong. Knows no rule.
"""

from dataclasses import dataclass

import tvm
from tvm import sym

from quake_tvm.tvm_version import tir

from . import analysis
from .tiles import Place, hull, run_length, substituted, terms, uses


@dataclass(frozen=True)
class Tile:
    """A tile of consecutive columns.

    Attributes
    ----------
    start : Var
        The first column of the tile.
    step : int
        Columns in a tile.
    limit : Expr
        Columns in total.
    numbers : tuple of Var
        Variables of the loops over tiles.
    """

    start: tir.Var
    step: int
    limit: tir.Expr
    numbers: tuple[tir.Var, ...]

    @property
    def whole(self) -> int | None:
        """Columns in total, None if symbolic."""
        return analysis.constant(self.limit)

    @property
    def last(self) -> tir.Expr:
        """The first column of the last whole tile."""
        return self.limit - self.step

    def below(self, value: tir.Expr, end: tir.Expr, known: sym.Analyzer) -> bool:
        """Whether a value is less than ``end`` wherever the tile starts."""
        if known.can_prove(value < end):
            return True
        # A value that grows with the start is largest in the last tile.
        moved = [part for part in terms(value) if uses(part, self.start)]
        grows = len(moved) == 1 and moved[0].same_as(self.start)
        return grows and known.can_prove(substituted(value, [(self.start, self.last)]) < end)

    def holds(self, place: Place) -> bool:
        """Whether a block is inside all loops over tiles."""
        around = [loop.loop_var for loop in place.loops]
        return all(any(map(number.same_as, around)) for number in self.numbers)


def holds(function: tir.PrimFunc, here: list[Place], tile: Tile, known: sym.Analyzer) -> bool:
    """Whether all blocks compute the same as before, wherever the tile starts.

    Parameters
    ----------
    function : PrimFunc
        Its parameters are read by others after the function has run.
    here : list of Place
        The function's blocks in order. In their iterators, the tile's number times its step is
        replaced by ``tile.start``; ``moving`` and ``guards`` name what depends on it.
    tile : Tile
    known : Analyzer
        Knows the ranges of ``tile.start`` and of all loop variables.
    """
    inside = [place for place in here if tile.holds(place)]
    return (
        all(_loops_stay(place, tile) and _within(place, tile, known) for place in inside)
        and all(_sums_anew(place, tile) for place in inside)
        and all(_reads_written(n, here, tile, known) for n in range(len(here)))
        and all(_complete(place, tile) for place in inside if _leaves(place, function, here, tile))
        and not any(_may_overwrite(place, function, here, tile) for place in inside)
    )


def _loops_stay(place: Place, tile: Tile) -> bool:
    """Whether the loops have the same range in every tile."""
    return not any(
        uses(value, number)
        for loop in place.loops
        for value in (loop.min, loop.extent)
        for number in tile.numbers
    )


def _within(place: Place, tile: Tile, known: sym.Analyzer) -> bool:
    """Whether all of a block's iterators stay in their domains.

    A guard may ensure this if it compares the iterator with the end of its domain: it excludes only
    elements that do not exist. No other guard may depend on the start.
    """
    guards = list(place.guards)
    for axis in place.moving:
        value, end = place.realize.iter_values[axis], place.block.iter_vars[axis].dom.extent
        extent = known.const_int_bound(value)
        own = [
            guard
            for guard in guards
            if isinstance(guard, tir.LT)
            and analysis.same(terms(guard.a), terms(value))
            and analysis.same([guard.b], [end])
        ]
        guards = [guard for guard in guards if not any(map(guard.same_as, own))]
        if extent.min_value < 0 or not (own or tile.below(value, end, known)):
            return False
    return not guards


def _sums_anew(place: Place, tile: Tile) -> bool:
    """Whether a reduction with an initial value runs completely within one tile."""
    if place.block.init is None:
        return True
    variables = [loop.loop_var for loop in place.loops]
    innermost = max(n for n, v in enumerate(variables) if any(map(v.same_as, tile.numbers)))
    pairs = zip(place.block.iter_vars, place.realize.iter_values, strict=True)
    return not any(
        each.iter_type != tir.IterVar.DataPar and any(uses(value, v) for v in variables[:innermost])
        for each, value in pairs
    )


def _writes(place: Place, buffer: tir.Buffer) -> list[tvm.ir.TensorRegion]:
    return [write for write in place.block.writes if write.source.same_as(buffer)]


def _reads_written(n: int, here: list[Place], tile: Tile, known: sym.Analyzer) -> bool:
    """Whether all the tile's data that a block reads was written before, in the same tile."""
    place = here[n]
    if not tile.holds(place):
        return True
    for read in place.block.reads:
        if place.block.init is not None and _writes(place, read.source):
            continue
        writers = [
            (m, other, write)
            for m, other in enumerate(here)
            for write in _writes(other, read.source)
            if tile.holds(other)
        ]
        before = [(other, write) for m, other, write in writers if m < n]
        if writers and not before:  # a later block overwrites it, and no block restores it
            return False
        if not all(_covers(other, write, place, read, known) for other, write in before):
            return False
    return True


def _covers(
    writer: Place,
    write: tvm.ir.TensorRegion,
    reader: Place,
    read: tvm.ir.TensorRegion,
    known: sym.Analyzer,
) -> bool:
    """Whether the indices that are read lie within those that are written, which have no gap.

    This looks at the dimensions that the tile moves. The others are as TVM left them.
    """
    outer = writer.shared(reader)
    for written, wanted in zip(write.region, read.region, strict=True):
        if not writer.moves(written.min) and not reader.moves(wanted.min):
            continue
        ours, theirs = (
            hull(place, extent, outer, known)
            for place, extent in ((writer, written), (reader, wanted))
        )
        if (
            analysis.constant(written.extent) != 1
            or run_length(writer.at(written.min), writer.loops[len(outer) :]) is None
            or ours is None
            or theirs is None
            or not known.can_prove(ours[0] <= theirs[0])
            or not known.can_prove(theirs[1] <= ours[1])
        ):
            return False
    return True


def _leaves(place: Place, function: tir.PrimFunc, here: list[Place], tile: Tile) -> bool:
    """Whether what a block writes is read after its tile is finished."""
    return any(
        any(map(write.source.same_as, function.params))
        or any(
            read.source.same_as(write.source)
            for other in here
            if not tile.holds(other)
            for read in other.block.reads
        )
        for write in place.block.writes
    )


def _complete(place: Place, tile: Tile) -> bool:
    """Whether the tiles together write all of a block's result, one element in each iteration."""
    if len(place.moving) != 1:
        return False
    (axis,) = place.moving
    variable, value = place.block.iter_vars[axis], place.realize.iter_values[axis]
    rest = [part for part in terms(value) if not part.same_as(tile.start)]
    within = [loop for loop in place.loops if not any(map(loop.loop_var.same_as, tile.numbers))]
    length = run_length(sum(rest[1:], rest[0]), within) if rest else 1
    return (
        len(rest) == len(terms(value)) - 1
        and not any(uses(part, tile.start) for part in rest)
        and length == tile.step
        and analysis.same([variable.dom.extent], [tile.limit])
        and all(
            any(at.min.same_as(variable.var) for at in write.region) for write in place.block.writes
        )
    )


def _may_overwrite(place: Place, function: tir.PrimFunc, here: list[Place], tile: Tile) -> bool:
    """Whether a block that computes an element twice might read its own result as its input.

    TVM may store a new buffer in the memory of an old one, if the old one is last read where the
    new one is first written. If only the new buffer is computed in each tile, the next tile finds
    the old buffer overwritten.
    """
    if not _leaves(place, function, here, tile):
        return False
    if all(any(map(write.source.same_as, function.params)) for write in place.block.writes):
        return False
    outside = [other for other in here if not tile.holds(other)]
    return any(_writes(other, read.source) for read in place.block.reads for other in outside)
