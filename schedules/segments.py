"""Cut the rows of an element-wise kernel where a condition on the last index changes.

A pad or a concatenation is ``if_then_else(f <= j, b[i, j - f], a[i, j])``. A vector of such
elements would be computed one by one, since its lanes may take different branches. Here a loop goes
over each segment of a row in which no condition changes. Segments are vectorized like rows: the
last vector overlaps the one before. Knows no target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import Call, dtype_of, replace_calls, tir, visit_calls

from . import analysis
from .tiles import mentions, substituted, uses, with_own_values

# Rows are left whole if there are more cuts: each makes a loop for each width of vectors.
MOST_CUTS = 4
_COMPARISONS = (tir.LT, tir.LE, tir.GT, tir.GE)
_BRANCH = tvm.ir.Op.get("prim.if_then_else")


@dataclass(frozen=True)
class Segments:
    """The cuts of a block's rows.

    Attributes
    ----------
    block : SBlock
        Writes one element.
    cuts : list of Expr
        In ascending order. Each condition on the last index is that it is at least one of these.
    """

    block: s_tir.SBlock
    cuts: list[tir.Expr]

    def within(self, number: int, sizes: sym.Analyzer) -> s_tir.SBlock:
        """The block in the segment of this number, where all conditions are known."""
        index = self.block.iter_vars[-1].var

        def known(condition: tir.Expr) -> tir.Expr:
            if isinstance(condition, tir.And | tir.Or):
                neutral = int(isinstance(condition, tir.And))
                sides = [known(condition.a), known(condition.b)]
                values = [analysis.constant(side) for side in sides]
                if 1 - neutral in values:
                    return tir.const(bool(1 - neutral), "bool")
                left = [s for s, value in zip(sides, values, strict=True) if value != neutral]
                return type(condition)(*left) if len(left) == 2 else (*left, sides[0])[0]
            found = threshold(condition, index)
            if found is None:
                return condition
            least, true_from = found
            place = next(n for n, cut in enumerate(self.cuts) if sizes.can_prove_equal(cut, least))
            return tir.const((place < number) == true_from, "bool")

        def chosen(call: Call) -> tir.Expr:
            if not call.op.same_as(_BRANCH):
                return call
            condition = known(call.args[0])
            value = analysis.constant(condition)
            if value is not None:
                return call.args[1 if value else 2]
            return tir.if_then_else(condition, *call.args[1:])

        own = self.block
        fresh = [
            tir.IterVar(each.dom, str(each.var.name), each.iter_type) for each in own.iter_vars
        ]
        names = [(old.var, new.var) for old, new in zip(own.iter_vars, fresh, strict=True)]
        body = with_own_values(substituted(replace_calls(own.body, chosen), names))
        reads, writes = ([substituted(r, names) for r in each] for each in (own.reads, own.writes))
        return s_tir.SBlock(
            fresh, reads, writes, own.name_hint, body, None, [], [],
            own.annotations,
        )  # fmt: skip


def segments(function: tir.PrimFunc) -> Segments | None:
    """Where the rows of a kernel can be cut.

    Parameters
    ----------
    function : PrimFunc
        With one block in a loop for each of its axes.

    Returns
    -------
    Segments or None
        None if no branch depends on the last index, if one depends on it in another way than by a
        comparison with sizes, or if the order of the cuts is not known.
    """
    block = _innermost(function).block
    if not block.iter_vars or not isinstance(block.body, tir.BufferStore) or block.init is not None:
        return None
    index, sizes = block.iter_vars[-1].var, known_sizes(function)
    cuts: list[tir.Expr] = []
    for condition in _conditions(block.body):
        if not uses(condition, index):
            continue
        found = threshold(condition, index)
        if found is None or any(uses(found[0], each.var) for each in block.iter_vars):
            return None
        if not any(sizes.can_prove_equal(cut, found[0]) for cut in cuts):
            place = next(
                (n for n, cut in enumerate(cuts) if sizes.can_prove(found[0] <= cut)), None
            )
            cuts.insert(len(cuts) if place is None else place, found[0])
    ascending = all(sizes.can_prove(a <= b) for a, b in pairwise(cuts))
    return Segments(block, cuts) if ascending and 0 < len(cuts) <= MOST_CUTS else None


def in_segments(function: tir.PrimFunc, segments: Segments, widths: list[int]) -> tir.PrimFunc:
    """The function with a loop over vectors for each segment of a row.

    Parameters
    ----------
    function : PrimFunc
        With one block. The innermost loop runs along its last axis.
    segments : Segments
        Of the function before its outer loops were scheduled.
    widths : list of int
        The elements of a vector, descending. The widest that fits a segment is taken.
    """
    sizes, realize = known_sizes(function), _innermost(function)
    count = realize.block.iter_vars[-1].dom.extent
    zero = tir.const(0, dtype_of(count))
    inner = (sizes.simplify(tir.max(tir.min(cut, count), zero)) for cut in segments.cuts)
    ends = [zero, *inner, count]
    parts = [
        _vectors(
            realize,
            partial(segments.within, number, sizes),
            start,
            sizes.simplify(end - start),
            widths,
            sizes,
        )
        for number, (start, end) in enumerate(pairwise(ends))
    ]

    def row(loop: tir.For) -> tir.Stmt:
        return tir.SeqStmt(parts) if loop.body.same_as(realize) else loop

    return function.with_body(tvm_ffi.structural_map(function.body, (tir.For, row)))


def _vectors(
    realize: s_tir.SBlockRealize,
    block: Callable[[], s_tir.SBlock],
    start: tir.Expr,
    count: tir.Expr,
    widths: list[int],
    sizes: sym.Analyzer,
) -> tir.Stmt:
    """The elements of a segment, in vectors of the widest of these widths that fits.

    ``block`` makes the block, with iterators of its own.
    """
    outer = list(realize.iter_values)[:-1]
    dtype, most = dtype_of(start), sizes.const_int_bound(count).max_value
    zero, number, lane = tir.const(0, dtype), tir.Var("vector", dtype), tir.Var("lane", dtype)
    wide = [width for width in widths if width <= most]
    if not wide:  # no loop, which LLVM would make a call of memset
        each = s_tir.SBlockRealize([*outer, start + lane], lane < count, block())
        return tir.For(lane, zero, tir.const(most, dtype), tir.ForKind.UNROLLED, each)
    width, *narrower = wide
    whole = tir.const(width, dtype)
    place = start + tir.min(number * whole, count - whole) + lane
    each = s_tir.SBlockRealize([*outer, place], True, block())
    lanes = tir.For(lane, zero, whole, tir.ForKind.VECTORIZED, each)
    loop = tir.For(number, zero, (count + (width - 1)) // whole, tir.ForKind.SERIAL, lanes)
    if sizes.can_prove(count >= whole):
        return loop
    with sizes.constraint_scope(count < whole):
        rest = _vectors(realize, block, start, count, narrower, sizes)
    return tir.IfThenElse(count >= whole, loop, rest)


def known_sizes(function: tir.PrimFunc) -> sym.Analyzer:
    """An analyzer that knows that the sizes of the parameters are not negative."""
    known = sym.Analyzer()
    for parameter in function.params:
        for size in getattr(parameter.ty, "shape", ()):
            if isinstance(size, tir.Var):
                zero = tir.const(0, dtype_of(size))
                known.bind(size, tvm.ir.Range(zero, tir.max_value(dtype_of(size))), True)
    return known


def _innermost(function: tir.PrimFunc) -> s_tir.SBlockRealize:
    found: list[s_tir.SBlockRealize] = []
    tvm_ffi.structural_walk(function.body, (s_tir.SBlockRealize, found.append))
    return next(r for r in found if not mentions(r.block.body, s_tir.SBlockRealize, lambda _: True))


def _conditions(body: tir.Stmt) -> list[tir.Expr]:
    """What the branches of a statement depend on, without And and Or."""
    found: list[tir.Expr] = []

    def parts(condition: tir.Expr) -> None:
        if isinstance(condition, tir.And | tir.Or):
            parts(condition.a)
            parts(condition.b)
        else:
            found.append(condition)

    def see(call: Call) -> None:
        if call.op.same_as(_BRANCH):
            parts(call.args[0])

    visit_calls(body, see)
    return found


def threshold(condition: tir.Expr, index: tir.Var) -> tuple[tir.Expr, bool] | None:
    """The least index from which a condition is true, or from which it is false.

    None if the condition is no comparison of the index with sizes.
    """
    if not isinstance(condition, _COMPARISONS):
        return None
    if mentions(condition, tvm.ir.TensorLoad, lambda _: True):
        return None
    steps = sym.detect_linear_equation(condition.a - condition.b, [index])
    step = analysis.constant(steps[0]) if steps else None
    if step not in (-1, 1):
        return None
    rising = isinstance(condition, tir.GT | tir.GE) == (step == 1)
    # step * index + rest compared with 0
    edge = -steps[1] if step == 1 else steps[1]
    strict = isinstance(condition, tir.LT | tir.GT)
    past = strict if rising else not strict
    least = sym.Analyzer().simplify(edge + 1 if past else edge)
    return least, rising
