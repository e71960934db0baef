"""The blocks of a scheduled kernel, each with its loops and the regions that it reads and writes.

Bounds are computed for constant loops. What cannot be determined is None. Knows no rule and no
tile.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis


@dataclass(frozen=True)
class Place:
    """A block together with the loops around it.

    ``moving`` and ``guards`` refer to one tile whose start may move.

    Attributes
    ----------
    realize : SBlockRealize
    loops : tuple of For
        The loops around the block, outermost first.
    moving : tuple of int
        Positions of the block's iterators that depend on the tile's start.
    guards : tuple of Expr
        The guards in the block's predicate that depend on the tile's start.
    """

    realize: s_tir.SBlockRealize
    loops: tuple[tir.For, ...]
    moving: tuple[int, ...] = ()
    guards: tuple[tir.Expr, ...] = ()

    @property
    def block(self) -> s_tir.SBlock:
        """The block itself."""
        return self.realize.block

    @property
    def name(self) -> str:
        """The block's name. Names are unique within a kernel."""
        return str(self.block.name_hint)

    def shared(self, other: "Place") -> tuple[tir.For, ...]:
        """The loops around both blocks."""
        pairs = zip(self.loops, other.loops, strict=False)
        count = next((n for n, (a, b) in enumerate(pairs) if not a.same_as(b)), None)
        return self.loops[: min(len(self.loops), len(other.loops)) if count is None else count]

    def at(self, index: tir.Expr) -> tir.Expr:
        """Rewrite an index from the block's iterators to the variables of the loops."""
        pairs = zip(self.block.iter_vars, self.realize.iter_values, strict=True)
        known = [(each.var, value) for each, value in pairs]
        alone = [value for variable, value in known if index.same_as(variable)]
        return alone[0] if alone else substituted(index, known)

    def moves(self, index: tir.Expr) -> bool:
        """Whether an index over the block's iterators depends on the tile's start."""
        variables = [self.block.iter_vars[axis].var for axis in self.moving]
        if isinstance(index, tir.Var):
            return any(map(index.same_as, variables))
        return any(uses(index, variable) for variable in variables)


def places(function: tir.PrimFunc) -> list[Place] | None:
    """The innermost blocks in order. None if anything but loops and sequences is around them."""
    found: list[Place] = []

    def enter(node: tir.Stmt, loops: tuple[tir.For, ...]) -> bool:
        if isinstance(node, tir.SeqStmt):
            return all(enter(each, loops) for each in node.seq)
        if isinstance(node, tir.For):
            return enter(node.body, (*loops, node))
        if not isinstance(node, s_tir.SBlockRealize):
            return False
        if mentions(node.block.body, s_tir.SBlockRealize, lambda _: True):
            return not node.iter_values and enter(node.block.body, loops)
        found.append(Place(node, loops))
        return True

    plain = enter(function.body, ())
    return found if plain and len({place.name for place in found}) == len(found) else None


def mentions(node: tvm.ir.Node, kind: type, wanted: Callable[[Any], bool]) -> bool:
    """Whether a tree contains a node of this kind that satisfies a predicate.

    Parameters
    ----------
    node : Node
        Root of the tree.
    kind : type
    wanted : callable
        Takes a node of this kind and returns whether it counts.
    """
    found: list[bool] = []
    tvm_ffi.structural_walk(node, (kind, lambda each: found.append(bool(wanted(each)))))
    return any(found)


def uses(expression: tir.Expr, variable: tir.Var) -> bool:
    """Whether a variable occurs in an expression."""
    if isinstance(expression, tir.Var | tir.IntImm):  # most indices are: no walk
        return expression.same_as(variable)
    return mentions(expression, tir.Var, variable.same_as)


def substituted(node: tvm.ir.Node, pairs: Sequence[tuple[tir.Var, tir.Expr]]) -> tvm.ir.Node:
    """The tree with each variable replaced by its value."""

    def replace(var: tir.Var) -> tir.Expr:
        return next((value for each, value in pairs if var.same_as(each)), var)

    return tvm_ffi.structural_map(node, (tir.Var, replace))


def with_own_values(node: tvm.ir.Node) -> tvm.ir.Node:
    """The tree with a variable of its own for each value that an expression names.

    An operator that was inlined in two places names its values alike in both, which schedules do
    not accept, and TVM takes two definitions of one variable for one.
    """

    def renew(let: tir.Let) -> tir.Let:  # inner ones are new by now
        name = tir.Var(let.var.name, dtype_of(let.var))
        return tir.Let(name, let.value, substituted(let.body, [(let.var, name)]))

    return tvm_ffi.structural_map(node, (tir.Let, renew))


def conjuncts(value: tir.Expr) -> list[tir.Expr]:
    """The operands of a conjunction, nested ones included."""
    if isinstance(value, tir.And):
        return [*conjuncts(value.a), *conjuncts(value.b)]
    return [value]


def terms(value: tir.Expr) -> list[tir.Expr]:
    """The summands of a sum, nested ones included."""
    if isinstance(value, tir.Add):
        return [*terms(value.a), *terms(value.b)]
    return [value]


def bound(loops: Iterable[tir.For]) -> sym.Analyzer:
    """An analyzer that knows the ranges of these loops' variables."""
    known = sym.Analyzer()
    for loop in loops:
        known.bind(loop.loop_var, tvm.ir.Range.from_min_extent(loop.min, loop.extent))
    return known


def run_length(value: tir.Expr, loops: Iterable[tir.For]) -> int | None:
    """How many consecutive integers a value takes while these loops run.

    None if it skips an integer, or if that cannot be determined.
    """
    steps = sym.detect_linear_equation(value, [loop.loop_var for loop in loops])
    if not steps:
        return None
    found = []
    for step, loop in zip(steps[:-1], loops, strict=True):
        step, extent = analysis.constant(step), analysis.constant(loop.extent)
        if step == 0:
            continue
        if step is None or extent is None or analysis.constant(loop.min) != 0:
            return None
        if extent != 1:
            found.append((step, extent))
    length = 1
    for step, extent in sorted(found):
        if not 0 < step <= length:
            return None
        length += step * (extent - 1)
    return length


def hull(
    place: Place, extent: tvm.ir.Range, outer: Sequence[tir.For], known: sym.Analyzer
) -> tuple[tir.Expr, tir.Expr] | None:
    """The first and last index that a block accesses along one dimension, the outer loops fixed.

    Parameters
    ----------
    place : Place
    extent : Range
        The range of indices in this dimension, over the block's own iterators.
    outer : sequence of For
        The loops that are fixed. The block's other loops run.
    known : Analyzer
        Knows the ranges of the variables.

    Returns
    -------
    tuple of Expr or None
        None if the range of a loop that moves the index is not constant, or if the indices are no
        interval.
    """
    running = {}
    ends = place.at(extent.min), place.at(extent.min + extent.extent - 1)
    for loop in place.loops[len(outer) :]:
        if not any(uses(end, loop.loop_var) for end in ends):
            continue
        if None in (analysis.constant(loop.min), analysis.constant(loop.extent)):
            return None
        running[loop.loop_var] = sym.IntervalSet(loop.min, loop.min + loop.extent - 1)
    first, last = (known.int_set(end, running) for end in ends)
    if not all(isinstance(each, sym.IntervalSet) for each in (first, last)):
        return None
    return first.min_value, last.max_value
