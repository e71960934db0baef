"""Element-wise chains, broadcasts, copies and transposes: one load and one store an element.

1. Inline every block into its consumer, so that one block a result is left.
2. Fuse all loops if every buffer is walked alike, else all but the last.
3. Vectorize the innermost, a flat one several vectors at a time; run the outermost on all cores if
   the kernel is long enough.
"""

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from quake_tvm.generation import tir

from . import analysis
from .choice import Decide
from .choices import choices
from .overlap import OVERLAP


def _walked_alike(block: s_tir.SBlock) -> bool:
    """Whether each read has the write's indices, so that a flat loop is contiguous for all."""
    (write, *more) = block.writes
    if more:
        return False

    at = [r.min for r in write.region]
    return all(
        analysis.same([r.min for r in read.region], at)
        and analysis.same(list(read.source.shape), list(write.source.shape))
        for read in block.reads
    )


def _several(count: int | None, target: tvm.target.Target) -> int:
    """The width of several vectors at once, where that leaves no longer a rest than one does.

    A nonlinearity is a long chain of dependent operations: side by side, they wait for each other
    less.
    """
    lanes = analysis.lanes(target)
    if count is None:
        return lanes
    wide = (n * lanes for n in choices(target).several)
    return next((n for n in wide if n <= count and count % n < lanes), lanes)


def _vectorize_last(sch: s_tir.Schedule, block: SBlockRV, loop: LoopRV, width: int) -> LoopRV:
    """Vectorize along the last axis; where its length is known, the last vector may overlap."""
    count = analysis.extent(sch, loop)
    if count is None or count < 4:
        return analysis.vectorize(sch, loop, width)
    outer, inner = sch.split(loop, [None, min(width, 1 << (count.bit_length() - 1))])
    sch.vectorize(inner)
    sch.annotate(block, OVERLAP, 1)
    return outer


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule a function of spatial blocks only."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    if not blocks or any(set(analysis.kinds(sch, b)) - {"S"} for b in blocks):
        return None
    for block in blocks:
        if sch.get_consumers(block):
            try:
                sch.compute_inline(block)
            except s_tir.ScheduleError:
                return None
    for block in analysis.blocks(sch):
        loops = sch.get_loops(block)
        if not loops:
            continue
        count = analysis.elements(sch, loops)
        if count == 0:
            continue
        if _walked_alike(sch.get(block)):
            outer = analysis.vectorize(sch, sch.fuse(*loops), _several(count, target))
        else:
            inner = _vectorize_last(sch, block, loops[-1], analysis.lanes(target))
            outer = sch.fuse(*loops[:-1]) if len(loops) > 1 else inner
        if analysis.worth_threads(count):
            sch.parallel(outer)
    return sch
