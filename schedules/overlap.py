"""Make the last, incomplete tile a whole one: let it start earlier and overlap its neighbour.

A tile of P columns at jo*P that would run past N columns starts at N - P instead. Its first columns
are computed twice, to the same bits; in return no tile needs a mask, a scalar rest or padded
memory.

A rule annotates the block that writes the tile out. N is this block's extent; whatever else is
computed in the tile starts where that block does, however long it is itself. A tile of which
:mod:`overlap_proof` cannot show that it is right keeps its guards, and stays where it was.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.generation import dtype_of, tir

from . import analysis
from .overlap_proof import Tile, holds
from .product import panel_of, within_panel
from .tiles import Place, bound, conjuncts, mentions, places, run_length, substituted, terms

OVERLAP = "quake.overlap"

logger = logging.getLogger(__name__)


def overlap_tiles(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the guarded tiles of annotated blocks made whole."""
    if not mentions(function.body, s_tir.SBlock, lambda block: OVERLAP in block.annotations):
        return function
    here = places(function)
    if here is None:
        logger.debug("blocks inside blocks: no tile overlaps")
        return _rebuilt(function, {}, [])
    known, starts = bound({loop for place in here for loop in place.loops}), []
    for block in [place.name for place in here if OVERLAP in place.block.annotations]:
        for guarded in _tiles(next(place for place in here if place.name == block)):
            tile = guarded.tile
            known.bind(tile.start, tvm.ir.Range(0, tile.limit - tile.step + 1))
            moved = [_moved(place, guarded, known) for place in here]
            if None not in moved and holds(function, moved, tile, known):
                here = moved
                starts.append((tile.start, guarded.first))
            else:
                logger.debug("the tile %s of block %s does not overlap", guarded.number, block)
    return _rebuilt(function, {place.name: place.realize for place in here}, starts)


@dataclass(frozen=True)
class _Guarded:
    """A tile that may be incomplete: its number, whose loops' iterators are variables of it."""

    number: tir.Expr
    tile: Tile

    @property
    def first(self) -> tir.Expr:
        """Where it starts."""
        start = self.number * self.tile.step
        return tir.min(start, tir.const(self.tile.limit - self.tile.step, dtype_of(start)))


def _step(term: tir.Expr) -> int:
    """The constant factor of a term, 0 if there is none."""
    constant = isinstance(term, tir.Mul) and isinstance(term.b, tir.IntImm)
    return int(term.b) if constant else 0


def _tiles(place: Place) -> list[_Guarded]:
    """The tiles that a block walks and may leave incomplete."""
    found = []
    for guard in conjuncts(place.realize.predicate):
        if not isinstance(guard, tir.LT) or not isinstance(guard.b, tir.IntImm):
            continue
        parts = terms(guard.a)
        if not any(analysis.same(parts, terms(value)) for value in place.realize.iter_values):
            continue
        first, limit = max(parts, key=_step), int(guard.b)
        if not 0 < _step(first) <= limit:
            continue
        loops = [loop for loop in place.loops if mentions(first, tir.Var, loop.loop_var.same_as)]
        inside = [loop for loop in place.loops if not any(map(loop.same_as, loops))]
        rest = [part for part in parts if part is not first]
        if loops and rest and run_length(sum(rest[1:], rest[0]), inside) == _step(first):
            start = tir.Var("start", dtype_of(guard.a))
            tile = Tile(start, _step(first), limit, tuple(loop.loop_var for loop in loops))
            found.append(_Guarded(first.a, tile))
    return found


def _moved(place: Place, guarded: _Guarded, known: sym.Analyzer) -> Place | None:
    """The block with the tile's start for its number times its step; None if it is used else."""
    tile, realize = guarded.tile, place.realize
    if not tile.holds(place):
        return replace(place, moving=(), guards=())

    def started(term: tir.Mul) -> tir.Expr:
        times, rest = divmod(_step(term), tile.step)
        if not times or rest or not tvm_ffi.structural_equal(term.a, guarded.number):
            return term
        return tile.start if times == 1 else tile.start * times

    def moved(value: tir.Expr) -> tir.Expr:
        return tvm_ffi.structural_map(value, (tir.Mul, started))

    guards = [(guard, moved(guard)) for guard in conjuncts(realize.predicate)]
    kept = [
        (after, not after.same_as(before))
        for before, after in guards
        if after.same_as(before) or not known.can_prove(after)
    ]
    values = [moved(value) for value in realize.iter_values]
    number = guarded.number
    alike = partial(tvm_ffi.structural_equal, number)
    if any(mentions(value, type(number), alike) for value in [*values, *(g for g, _ in kept)]):
        return None
    pairs = zip(realize.iter_values, values, strict=True)
    moving = tuple(axis for axis, (old, new) in enumerate(pairs) if not new.same_as(old))
    block = realize.block
    for axis in moving:
        numbered = _numbered(block, axis, tile)
        if numbered is not block:
            block = numbered
            values.append(number)
    predicate = tir.all(*(guard for guard, _ in kept)) if kept else tir.const(True, "bool")
    return Place(
        s_tir.SBlockRealize(values, predicate, block),
        place.loops,
        moving,
        tuple(guard for guard, moves in kept if moves),
    )


def _numbered(block: s_tir.SBlock, axis: int, tile: Tile) -> s_tir.SBlock:
    """The block with packed panels along an axis found by the tile's number.

    That is no longer start // step. What overlaps is in both panels.
    """
    variable = block.iter_vars[axis]
    if analysis.constant(variable.dom.extent) != tile.limit:
        return block
    panel = panel_of(variable.var, tile.step)
    within = within_panel(variable.var, tile.step, tile.limit)
    packed = [
        read.source
        for read in block.reads
        if tvm_ffi.structural_equal(read.region[-1].min, within)
        and any(tvm_ffi.structural_equal(each.min, panel) for each in read.region)
    ]
    if not packed:
        return block
    count = -(-tile.limit // tile.step)
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
    starts: list[tuple[tir.Var, tir.Expr]],
) -> tir.PrimFunc:
    """The function with these blocks by name, the starts put in and no annotation left."""

    def rebuilt(realize: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
        new = realizes.get(str(realize.block.name_hint), realize)
        if OVERLAP in new.block.annotations:
            left = {k: v for k, v in new.block.annotations.items() if k != OVERLAP}
            block = _block(new.block, new.block.iter_vars, left)
            new = s_tir.SBlockRealize(new.iter_values, new.predicate, block)
        if not starts:
            return new
        values = [substituted(value, starts) for value in new.iter_values]
        return s_tir.SBlockRealize(values, substituted(new.predicate, starts), new.block)

    body = tvm_ffi.structural_map(function.body, (s_tir.SBlockRealize, rebuilt))
    return function.with_body(body)
