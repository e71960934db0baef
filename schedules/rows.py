"""softmax, log_softmax and logsumexp as :mod:`quake_tvm.compute` writes them.

1. One loop over the rows, on all cores if there is enough to do.
2. Every stage inside it, in order, so that a row stays in the first-level cache between them.
3. softmax's exponentials wait for their sum in the output's own memory; the others' are added up
   as they come.
4. The sixteen lanes of a reduction are vectors; the halvings that follow are shorter ones. The
   rest of a row that fills no chunk is scalar. Rows are not interleaved: their stages are
   independent enough for the processor to overlap them.
"""

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.compute import LANES
from quake_tvm.generation import tir

from . import analysis
from .in_place import in_place

EXP = "softmax_exp"
_RESULTS = ("quake_softmax", "quake_log_softmax", "quake_logsumexp")


def _stage(sch: s_tir.Schedule, block: SBlockRV, width: int) -> None:
    """Vectorize one stage's own loops, the row loop apart."""
    name = str(sch.get(block).name_hint)
    own = sch.get_loops(block)[1:]
    if not own or name.endswith(("_rest", "_inverse", "_log", "_center")):
        return
    if "R" in analysis.kinds(sch, block):
        lane, chunk = own
        sch.reorder(chunk, lane)
        analysis.vectorize(sch, lane, min(width, LANES))
        init = sch.decompose_reduction(block, chunk)
        analysis.vectorize(sch, sch.get_loops(init)[-1], min(width, LANES))
    else:
        analysis.vectorize(sch, own[-1], width)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, tunable: bool
) -> s_tir.Schedule | None:
    """Schedule a function whose last block is one of the operators over rows."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    if not blocks or str(sch.get(blocks[-1]).name_hint) not in _RESULTS:
        return None
    *stages, result = blocks
    exp = next(b for b in stages if str(sch.get(b).name_hint) == EXP)
    count = analysis.elements(sch, sch.get_loops(exp))
    if count == 0:
        return sch
    if str(sch.get(result).name_hint) != "quake_softmax":
        sch.compute_inline(exp)
        stages.remove(exp)
    loops = sch.get_loops(result)
    over_rows = str(sch.get(result).name_hint) == "quake_logsumexp"
    outer = loops if over_rows else loops[:-1]
    if not outer:
        outer = [sch.add_unit_loop(loops[0] if loops else result)]
    row = sch.fuse(*outer)
    if analysis.worth_threads(count):
        sch.parallel(row)
    for block in reversed(stages):
        sch.compute_at(block, row, preserve_unit_loops=False)
    for block in (*stages, result):
        _stage(sch, block, analysis.lanes(target))
    if str(sch.get(result).name_hint) == "quake_softmax":
        return analysis.start(in_place(sch.mod["main"], EXP))
    return sch
