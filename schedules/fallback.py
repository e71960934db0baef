"""Whatever no rule knows: inline what can be, the outer spatial loops on all cores.

The loops inside are left to LLVM, which vectorizes those that carry no reduction.
"""

import tvm
from tvm import s_tir

from quake_tvm.generation import tir

from . import analysis


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, tunable: bool
) -> s_tir.Schedule | None:
    """Schedule any function made of blocks."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    if not blocks:
        return None
    for block in blocks:
        if set(analysis.kinds(sch, block)) <= {"S"} and sch.get_consumers(block):
            try:
                sch.compute_inline(block)
            except s_tir.ScheduleError:
                continue
    for block in analysis.blocks(sch):
        loops, kinds = sch.get_loops(block), analysis.kinds(sch, block)
        if len(loops) != len(kinds):
            continue
        spatial = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == "S"]
        reduction = [loop for loop, kind in zip(loops, kinds, strict=True) if kind != "S"]
        if not spatial or loops[: len(spatial)] != spatial:
            continue
        count = analysis.elements(sch, loops)
        if not reduction and count != 0:
            inner = analysis.vectorize(sch, spatial[-1], analysis.lanes(target))
            spatial = spatial[:-1] or [inner]
        if analysis.worth_threads(count):
            sch.parallel(sch.fuse(*spatial))
    return sch
