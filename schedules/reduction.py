"""Norms and reductions along the last axis, in TVM's own order of summation.

A row's sum is a chain of dependent additions. Several rows side by side keep the processor busy,
each in its own lane of a vector, and leave the order within a row as it is.

1. Fuse the outer loops into one over rows, a block of rows at a time, blocks on all cores.
2. Every stage inside the block. In a reduction the rows are innermost and vectorized.
3. The last stage, where it walks along the row, is vectorized along it.
"""

import math

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .overlap import OVERLAP

# Rows side by side: the rule's own, and what they can be.
OWN_ROWS, ROWS = 16, (4, 8, 16, 32)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule a chain of stages over the same rows, at least one of them a sum along them."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    if not blocks:
        return None
    blocks = _without_flags(sch, blocks)
    kinds = [analysis.kinds(sch, block) for block in blocks]
    rank = min(kind.count("S") for kind in kinds)
    along = {"S" * rank, "S" * rank + "S", "S" * rank + "R"}
    if not any("R" in kind for kind in kinds) or not set(kinds) <= along or rank == 0:
        return None
    *stages, result = blocks
    outer = sch.get_loops(result)[:rank]
    rows = analysis.elements(sch, outer)
    count = analysis.elements(sch, sch.get_loops(max(blocks, key=lambda b: len(sch.get_loops(b)))))
    if not count or rows < 4:
        return None
    choice = decide(Key("reduction", (rows, count // rows)))
    most = choice.pick("rows", ROWS, OWN_ROWS)
    width = math.gcd(rows, most)
    if width < 4:  # the last block overlaps
        width = min(most, 1 << (rows.bit_length() - 1))
        sch.annotate(result, OVERLAP, list(range(len(sch.get(result).iter_vars))))
    try:
        block, row = sch.split(sch.fuse(*outer), [None, width])
        if analysis.in_parallel(choice, count):
            sch.parallel(block)
        for stage in reversed(stages):
            sch.compute_at(stage, block, preserve_unit_loops=False)
        for stage, kind in zip(blocks, kinds, strict=True):
            loops = sch.get_loops(stage)[1:]
            if not loops:  # a stage of one row
                return None
            row, *rest = loops
            if kind.endswith("R"):
                sch.reorder(*rest, row)
                sch.vectorize(row)
            elif rest:
                analysis.vectorize(sch, rest[-1], analysis.lanes(target))
            else:
                sch.vectorize(row)
    except s_tir.ScheduleError:  # stages that do not walk the same rows
        return None
    return sch


def _without_flags(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> list[SBlockRV]:
    """The stages left once those that only keep truth values are inlined.

    LLVM's vectors of them have a bit each, TVM's buffers a byte: ``not`` of such a buffer is -1 or
    -2 in a vector.
    """
    kept = []
    for block in blocks:
        writes = sch.get(block).writes  # a loop nest of TVM's own has none
        flags = bool(writes) and writes[0].source.dtype == "bool"
        if flags and block is not blocks[-1] and "R" not in analysis.kinds(sch, block):
            sch.compute_inline(block)
        else:
            kept.append(block)
    return kept
