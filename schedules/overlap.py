"""Make the last, incomplete tile a whole one: let it start earlier and overlap its neighbour.

A tile of P columns at jo*P that would run past N columns starts at N - P instead. Its first
columns are computed twice, to the same bits; in return no tile needs a mask, a scalar rest or
padded memory. Only for blocks that compute a tile anew from what no tile changes: the rule says
which by annotating them.
"""

import tvm_ffi
from tvm import s_tir

from quake_tvm.generation import tir

from . import analysis

OVERLAP = "quake.overlap"


def _terms(value: tir.Expr) -> list[tir.Expr]:
    if isinstance(value, tir.Add):
        return [*_terms(value.a), *_terms(value.b)]
    return [value]


def _conjuncts(value: tir.Expr) -> list[tir.Expr]:
    if isinstance(value, tir.And):
        return [*_conjuncts(value.a), *_conjuncts(value.b)]
    return [value]


def _step(term: tir.Expr) -> int:
    """The constant factor of a term, 0 if there is none."""
    constant = isinstance(term, tir.Mul) and isinstance(term.b, tir.IntImm)
    return int(term.b) if constant else 0


def _substitute(block: s_tir.SBlock, old: tir.Expr, new: tir.Var) -> s_tir.SBlock:
    """The block with an expression of its iterators replaced."""

    def replace(node: tir.FloorDiv) -> tir.Expr:
        return new if tvm_ffi.structural_equal(node, old) else node

    return tvm_ffi.structural_map(block, (tir.FloorDiv, replace))


def _realize(realize: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
    block = realize.block
    if OVERLAP not in block.annotations:
        return realize
    values, variables = list(realize.iter_values), list(block.iter_vars)
    kept = []
    for guard in _conjuncts(realize.predicate):
        at = [
            n
            for n, value in enumerate(values)
            if isinstance(guard, tir.LT) and analysis.same(_terms(guard.a), _terms(value))
        ]
        terms = _terms(values[at[0]]) if at else []
        step = max(map(_step, terms), default=0)
        if step == 0 or not isinstance(guard.b, tir.IntImm):
            kept.append(guard)
            continue
        (axis,) = at
        limit, tile = guard.b, max(terms, key=_step)
        start = tir.min(tile, limit - step)
        values[axis] = sum((t for t in terms if t is not tile), start)
        # A packed operand is indexed by the tile's number, which is no longer start // step.
        number = tir.IterVar((0, -(-int(limit) // step)), f"tile{axis}", tir.IterVar.DataPar)
        quotient = tir.FloorDiv(variables[axis].var, tir.IntImm(limit.ty.dtype, step))
        numbered = _substitute(block, quotient, number.var)
        if not tvm_ffi.structural_equal(numbered, block):
            block = numbered
            variables.append(number)
            values.append(tile.a)
    block = s_tir.SBlock(
        variables,
        block.reads,
        block.writes,
        block.name_hint,
        block.body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        {k: v for k, v in block.annotations.items() if k != OVERLAP},
    )
    predicate = tir.all(*kept) if kept else tir.const(True, "bool")
    return s_tir.SBlockRealize(values, predicate, block)


def overlap_tiles(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the guarded tiles of annotated blocks made whole."""
    return function.with_body(
        tvm_ffi.structural_map(function.body, (s_tir.SBlockRealize, _realize))
    )
