"""Norms and reductions along the last axis, in TVM's own order of summation.

A row's sum is a chain of dependent additions. Several rows are computed at once, each in its own
lane of a vector. This hides the latency of the additions and keeps the order within each row.

1. Fuse the outer loops into one loop over rows. Split it into blocks of rows, and run the blocks on
   all cores.
2. Compute every stage inside the block. In a reduction the rows are the innermost loop, vectorized.
3. Vectorize the last stage along the row if it has that axis.
4. If sizes are symbolic, make a version for each number of rows in a block.
"""

import math
from collections.abc import Sequence

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis, fallback
from .choice import Decide, Key
from .overlap import OVERLAP, overlaps
from .rule import Scheduled
from .versions import Version, thread_cases, with_few

# Rows computed at once: the rule's default, and the options.
OWN_ROWS, ROWS = 16, (4, 8, 16, 32)


def apply(function: tir.PrimFunc, target: tvm.target.Target, decide: Decide) -> Scheduled:
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
    result = blocks[-1]
    outer = sch.get_loops(result)[:rank]
    rows = analysis.elements(sch, outer)
    longest = sch.get_loops(max(blocks, key=lambda b: len(sch.get_loops(b))))
    count = analysis.elements(sch, longest)
    if rows is None or count is None:
        extents = [sch.get(loop).extent for loop in longest]
        few = fallback.apply(function, target, decide)
        return few and _versions(sch, blocks, rank, extents, few.mod["main"], target)
    if not count or rows < 4:
        return None
    choice = decide(Key.of("reduction", rows=rows, length=count // rows))
    most = choice.pick("rows", ROWS, OWN_ROWS)
    width = math.gcd(rows, most)
    if width < 4:  # the last block overlaps
        width = min(most, 1 << (rows.bit_length() - 1))
        sch.annotate(result, OVERLAP, list(range(len(sch.get(result).iter_vars))))
    block, _ = sch.split(sch.fuse(*outer), [None, width])
    if analysis.in_parallel(choice, count):
        sch.parallel(block)
    return _in_blocks(sch, blocks, [block], target)


def _versions(
    sch: s_tir.Schedule,
    blocks: list[SBlockRV],
    rank: int,
    extents: Sequence[tir.Expr],
    few: tir.PrimFunc,
    target: tvm.target.Target,
) -> Sequence[Version] | None:
    """The schedules for sizes that only the run knows: by the rows, and by all elements.

    Blocks are along the last outer axis that is longer than 1, since fused axes would divide by
    symbolic extents. ``few`` is the kernel for fewer rows than the smallest block has.
    """
    at = max((n for n in range(rank) if analysis.constant(extents[n]) != 1), default=0)
    rows = extents[at]
    if analysis.kinds(sch, blocks[-1]).endswith("R"):  # rows that two blocks share are summed twice
        blocks = [*blocks, sch.cache_write(blocks[-1], 0, "local")]
    versions = []
    for width in (n for n in (OWN_ROWS, ROWS[0]) if (analysis.constant(rows) or n) >= n):
        fused = [*extents[:at], -(-rows // width)]
        count = math.prod(extents, start=tir.const(1, "int64"))
        for when, parallel in thread_cases(fused, count):
            own = sch.copy()
            loops = own.get_loops(blocks[-1])[:rank]
            outer, ones = loops[:at], loops[at:]
            own.annotate(blocks[-1], OVERLAP, [at])
            block, _ = own.split(own.fuse(*ones), [None, width])
            if parallel is not None:
                own.parallel([*outer, block][parallel])
            done = _in_blocks(own, blocks, [*outer, block], target)
            if done is None:
                return None
            versions.append(Version(done.mod["main"], tir.all(rows >= width, *when), rows >= width))
    if not versions or not all(overlaps(each.function, each.given) for each in versions):
        return None
    always = tir.const(True, "bool")
    return [*versions, Version(with_few(few), always, always)]


def _in_blocks(
    sch: s_tir.Schedule,
    blocks: list[SBlockRV],
    outer: list[LoopRV],
    target: tvm.target.Target,
) -> s_tir.Schedule | None:
    """Compute every stage inside the innermost of the outer loops, one row in each lane.

    None if the stages do not walk the same rows.
    """
    try:
        for stage in reversed(blocks[:-1]):
            sch.compute_at(stage, outer[-1], preserve_unit_loops=False)
        for stage in blocks:
            loops = sch.get_loops(stage)[len(outer) :]
            if not loops:  # a stage of one row
                return None
            row, *rest = loops
            if analysis.kinds(sch, stage).endswith("R"):
                sch.reorder(*rest, row)
                sch.vectorize(row)
                if not analysis.elements(sch, rest):  # a sum of nothing
                    init = sch.decompose_reduction(stage, rest[0])
                    sch.vectorize(sch.get_loops(init)[-1])
            elif rest:
                analysis.vectorize(sch, rest[-1], analysis.lanes(target))
            else:
                sch.vectorize(row)
    except s_tir.ScheduleError:
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
