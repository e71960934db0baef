"""Norms and reductions along the last axis, in TVM's own order of summation.

A row's sum is a chain of dependent additions. Several rows are computed at once, each in its own
lane of a vector. This hides the latency of the additions and keeps the order within each row.

1. Fuse the outer loops into one loop over rows. Split it into blocks of rows, and run the blocks on
   all cores.
2. Compute every stage inside the block. In a reduction the rows are the innermost loop, vectorized.
3. Vectorize the last stage along the row if it has that axis.
"""

import math

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .overlap import OVERLAP

# Rows computed at once: the rule's default, and the options.
OWN_ROWS, ROWS = 16, (4, 8, 16, 32)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule a chain of stages over the same rows, at least one of them a sum along the rows.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
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
    if not count or rows is None or rows < 4:
        return None
    choice = decide(Key.of("reduction", rows=rows, length=count // rows))
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
    """Inline the stages that only compute truth values; return the other stages.

    LLVM's vectors of truth values have a bit for each, TVM's buffers a byte. In a vector, ``not``
    of a value from such a buffer is -1 or -2.
    """
    kept = []
    for block in blocks:
        writes = sch.get(block).writes  # empty for a loop nest that TVM generated
        flags = bool(writes) and writes[0].source.dtype == "bool"
        if flags and block is not blocks[-1] and "R" not in analysis.kinds(sch, block):
            sch.compute_inline(block)
        else:
            kept.append(block)
    return kept
