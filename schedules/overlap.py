"""Make the last, incomplete tile a whole one: it starts earlier and overlaps its neighbour.

A tile of P columns at jo*P that would exceed N columns starts at N - P instead. Its first columns
are computed twice, to the same bits. In return no tile needs a mask, a scalar loop for the rest, or
padded memory.

A rule annotates the block that writes the tile to memory with the axes of the tile. N is the extent
of this block, and may be symbolic. All other blocks of the tile start at the same column, whatever
their own extent is. If :mod:`overlap_proof` cannot show that a tile is right, the tile keeps its
start and its guards.
"""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .overlap_proof import Tile, holds
from .product import panel_of, within_panel
from .tiles import Place, bound, conjuncts, mentions, places, run_length, substituted, terms, uses

OVERLAP = "quake.overlap"

logger = logging.getLogger(__name__)


def overlap_tiles(function: tir.PrimFunc, given: tir.Expr | None = None) -> tir.PrimFunc:
    """The function with the guarded tiles of annotated blocks made whole.

    Parameters
    ----------
    function : PrimFunc
    given : Expr, optional
        A condition on symbolic extents that holds whenever this function runs. A tile along such an
        extent becomes whole if the condition says that at least one whole tile fits.
    """
    if not mentions(function.body, s_tir.SBlock, lambda block: OVERLAP in block.annotations):
        return function
    found = _found(function, given)
    if found is None:
        logger.debug("blocks inside blocks: no tile overlaps")
        return _rebuilt(function, {}, [])
    here, whole, _ = found
    done = _rebuilt(function, {place.name: place.realize for place in here}, whole)
    return _with_room(done, whole)


def overlaps(function: tir.PrimFunc, given: tir.Expr | None = None) -> bool:
    """Whether all tiles along the annotated axes can be made whole. Parameters as above."""
    found = _found(function, given)
    return found is not None and len(found[1]) == found[2]


@lru_cache(maxsize=32)
def _found(
    function: tir.PrimFunc, given: tir.Expr | None
) -> tuple[list[Place], list["_Whole"], int] | None:
    """The blocks with tiles made whole, these tiles, and how many there are along all axes.

    None if there are blocks inside blocks. A rule asks whether tiles overlap before they are made
    whole, and the proof takes long.
    """
    here = places(function)
    if here is None:
        return None
    known = bound({loop for place in here for loop in place.loops})
    guarded = [
        axis
        for place in here
        for axis in place.block.annotations.get(OVERLAP, ())
        for guard in conjuncts(place.realize.predicate)
        if _limits(guard, place.realize.iter_values[axis], known)
    ]
    with known.constraint_scope(given) if given is not None else nullcontext():
        here, whole = _overlapped(function, here, known)
    return here, whole, len(guarded)


def _overlapped(
    function: tir.PrimFunc, here: list[Place], known: sym.Analyzer
) -> tuple[list[Place], list["_Whole"]]:
    """The blocks with tiles made whole, and these tiles."""
    whole = []
    for block in [place.name for place in here if OVERLAP in place.block.annotations]:
        for guarded in _tiles(next(p for p in here if p.name == block), known):
            tile = guarded.tile
            known.bind(tile.start, tvm.ir.Range(0, tile.last + 1))
            moved = [m for place in here if (m := _moved(place, guarded, known)) is not None]
            if len(moved) == len(here) and holds(function, moved, tile, known):
                here = moved
                whole.append(_Whole(tile, guarded.first, _held(function, here, tile)))
            else:
                logger.debug("the tile %s of block %s does not overlap", guarded.number, block)
    return here, whole


def _held(function: tir.PrimFunc, here: list[Place], tile: Tile) -> list[tuple[tir.Buffer, int]]:
    """The allocated buffers of which a tile is written, each with the axis of its columns."""
    return [
        (write.source, axis)
        for place in here
        for write in (place.block.writes if tile.holds(place) else ())
        for axis, at in enumerate(write.region)
        if not any(map(write.source.same_as, function.params))
        and place.moves(at.min)
        and tvm_ffi.structural_equal(write.source.shape[axis], tile.limit)
    ]


@dataclass(frozen=True)
class _Whole:
    """A tile that was made whole, its first column, and the buffers that hold it."""

    tile: Tile
    first: tir.Expr
    held: list[tuple[tir.Buffer, int]]


@dataclass(frozen=True)
class _Guarded:
    """A tile that may be incomplete.

    ``number`` is the tile's index, an expression over the variables of the loops over tiles.
    """

    number: tir.Expr
    tile: Tile

    @property
    def first(self) -> tir.Expr:
        """The first column of the tile, moved so that the tile is whole."""
        return tir.min(self.number * self.tile.step, self.tile.last)


def _step(term: tir.Expr) -> int:
    """The constant factor of a term, 0 if there is none."""
    constant = isinstance(term, tir.Mul) and isinstance(term.b, tir.IntImm)
    return int(term.b) if constant else 0


def _tiles(place: Place, known: sym.Analyzer) -> list[_Guarded]:
    """The tiles along a block's annotated axes that may be incomplete."""
    found = []
    for axis in place.block.annotations[OVERLAP]:
        value = place.realize.iter_values[axis]
        guards = conjuncts(place.realize.predicate)
        limit = _least([guard.b for guard in guards if _limits(guard, value, known)])
        first = max(terms(value), key=_step)
        if limit is None or not _step(first) or not known.can_prove(limit >= _step(first)):
            continue
        loops = [loop for loop in place.loops if uses(first, loop.loop_var)]
        inside = [loop for loop in place.loops if not any(map(loop.same_as, loops))]
        rest = [part for part in terms(value) if part is not first]
        if loops and rest and run_length(sum(rest[1:], rest[0]), inside) == _step(first):
            start = tir.Var("start", dtype_of(value))
            tile = Tile(start, _step(first), limit, tuple(loop.loop_var for loop in loops))
            found.append(_Guarded(first.a, tile))
    return found


def _least(limits: list[tir.Expr]) -> tir.Expr | None:
    """The least of constants, or the only limit if that is symbolic."""
    known = [n for limit in limits if (n := analysis.constant(limit)) is not None]
    if len(known) == len(limits):
        return limits[known.index(min(known))] if limits else None
    return limits[0] if len(limits) == 1 else None


def _limits(guard: tir.Expr, value: tir.Expr, known: sym.Analyzer) -> bool:
    """Whether a guard says that a value is less than an extent.

    TVM may write the value in the guard and the value itself differently.
    """
    return isinstance(guard, tir.LT) and (
        analysis.same(terms(guard.a), terms(value)) or known.can_prove_equal(guard.a, value)
    )


def _moved(place: Place, guarded: _Guarded, known: sym.Analyzer) -> Place | None:
    """The block with the tile's start in place of the tile's number times its step.

    None if the block uses the number in any other way.
    """
    tile, number, realize = guarded.tile, guarded.number, place.realize
    if not tile.holds(place):
        return replace(place, moving=(), guards=())

    def started(term: tir.Mul) -> tir.Expr:
        times, rest = divmod(_step(term), tile.step)
        if not times or rest or not tvm_ffi.structural_equal(term.a, number):
            return term
        return tile.start if times == 1 else tile.start * times

    before = list(realize.iter_values)
    values = [tvm_ffi.structural_map(value, (tir.Mul, started)) for value in before]
    moving = [axis for axis, value in enumerate(values) if not value.same_as(before[axis])]
    alike = partial(tvm_ffi.structural_equal, number)
    if any(mentions(value, type(number), alike) for value in values):
        return None
    kept, moved = [], []
    for guard in conjuncts(realize.predicate):
        limited = [axis for axis, value in enumerate(before) if _limits(guard, value, known)]
        if any(axis in moving for axis in limited):
            moved += [
                values[axis] < guard.b
                for axis in limited
                if axis in moving and not tile.below(values[axis], guard.b, known)
            ]
        elif limited or not any(uses(guard, each) for each in tile.numbers):
            kept.append(guard)
        else:
            return None
    block = realize.block
    for axis in moving:
        numbered = _numbered(block, axis, tile)
        within = values[axis] - tile.start
        if numbered is not block and known.can_prove(tir.all(within >= 0, within < tile.step)):
            block = numbered
            values.append(number)
    predicate = tir.all(*kept, *moved) if kept or moved else tir.const(True, "bool")
    realize = s_tir.SBlockRealize(values, predicate, block)
    return Place(realize, place.loops, tuple(moving), tuple(moved))


def _numbered(block: s_tir.SBlock, axis: int, tile: Tile) -> s_tir.SBlock:
    """The block with panels along an axis indexed by the tile's number.

    After the move, the panel is no longer start // step. Columns that overlap are in both panels.
    """
    variable = block.iter_vars[axis]
    if tile.whole is None or analysis.constant(variable.dom.extent) != tile.whole:
        return block
    panel = panel_of(variable.var, tile.step)
    within = within_panel(variable.var, tile.step, tile.whole)
    packed = [
        read.source
        for read in block.reads
        if read.region  # empty for a scalar
        and tvm_ffi.structural_equal(read.region[-1].min, within)
        and any(tvm_ffi.structural_equal(each.min, panel) for each in read.region)
    ]
    if not packed:
        return block
    count = -(-tile.whole // tile.step)
    number = tir.IterVar((0, count), f"tile{axis}", tir.IterVar.DataPar)

    def of_tile(node: tir.FloorDiv) -> tir.Expr:
        return number.var if tvm_ffi.structural_equal(node, panel) else node

    def load(node: tvm.ir.TensorLoad | tvm.ir.TensorRegion) -> tvm.ir.Node:
        if not any(map(node.source.same_as, packed)):
            return node
        return tvm_ffi.structural_map(node, (tir.FloorDiv, of_tile))

    kinds = (tvm.ir.TensorLoad, tvm.ir.TensorRegion)
    changed = tvm_ffi.structural_map(block, (kinds, load))
    return _block(changed, [*changed.iter_vars, number], changed.annotations)


def _block(block: s_tir.SBlock, variables: list[tir.IterVar], annotations: dict) -> s_tir.SBlock:
    return s_tir.SBlock(
        variables,
        block.reads,
        block.writes,
        block.name_hint,
        block.body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        annotations,
    )


def _rebuilt(
    function: tir.PrimFunc,
    realizes: dict[str, s_tir.SBlockRealize],
    whole: list[_Whole],
) -> tir.PrimFunc:
    """The function with these blocks, tiles' starts substituted, and all annotations removed."""
    firsts = [(each.tile.start, each.first) for each in whole]

    def rebuilt(realize: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
        new = realizes.get(str(realize.block.name_hint), realize)
        if OVERLAP in new.block.annotations:
            left = {k: v for k, v in new.block.annotations.items() if k != OVERLAP}
            block = _block(new.block, new.block.iter_vars, left)
            new = s_tir.SBlockRealize(new.iter_values, new.predicate, block)
        if not firsts:
            return new
        values = [substituted(value, firsts) for value in new.iter_values]
        return s_tir.SBlockRealize(values, substituted(new.predicate, firsts), new.block)

    body = tvm_ffi.structural_map(function.body, (s_tir.SBlockRealize, rebuilt))
    return function.with_body(body)


def _with_room(function: tir.PrimFunc, whole: list[_Whole]) -> tir.PrimFunc:
    """The function with symbolic extents n of buffers that hold tiles written as max(n, step).

    TVM shrinks such a buffer to the region that is accessed, of the extent min(n, step). With the
    maximum it can simplify that to the step, and keep the tile in registers.
    """
    shapes: dict[tir.Buffer, list[tir.Expr]] = {}
    for each in whole:
        for buffer, axis in each.held if each.tile.whole is None else ():
            shape = shapes.setdefault(buffer, list(buffer.shape))
            shape[axis] = tir.max(
                each.tile.limit, tir.const(each.tile.step, dtype_of(each.tile.limit))
            )
    pairs = [
        (old, tir.decl_buffer(shape, old.dtype, old.name, scope=old.scope(), layout=None))
        for old, shape in shapes.items()
    ]
    return function.with_body(substituted(function.body, pairs)) if pairs else function
