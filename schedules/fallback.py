"""Kernels that no other rule takes: inline what can be inlined, run the outer loops on all cores.

Some reductions read along their last spatial axis (convolutions, sums over other axes). This axis
becomes the innermost loop, so that it can be vectorized. The order of each element's sum stays.
"""

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule any function made of blocks.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
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
    for block in analysis.blocks(sch) or []:
        loops, kinds = sch.get_loops(block), analysis.kinds(sch, block)
        if len(loops) != len(kinds):
            continue
        spatial = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == "S"]
        reduction = [loop for loop, kind in zip(loops, kinds, strict=True) if kind != "S"]
        if loops[: len(spatial)] != spatial:
            _begin(sch, block, loops if reduction else [])
            continue
        if not spatial:
            _begin(sch, block, reduction)
            continue
        count = analysis.elements(sch, loops)
        along = [n for n, loop in enumerate(spatial) if analysis.extent(sch, loop) != 1]
        if reduction and len(along) > 1 and count and _reads_along(sch.get(block), along[-1]):
            last = spatial.pop(along[-1])
            sch.reorder(*spatial, *reduction, last)
            outer, _ = analysis.outermost(sch, spatial)
            if analysis.worth_threads(count):
                sch.parallel(outer)
            analysis.vectorize(sch, last, analysis.lanes(target))
            sch.decompose_reduction(block, reduction[0])
            continue
        if not reduction and count != 0:
            inner = analysis.vectorize(sch, spatial[-1], analysis.lanes(target))
            spatial = spatial[:-1] or [inner]
        if analysis.worth_threads(count):
            # A peeled loop cannot be an argument of fuse, not even the only one.
            many = len(spatial) > 1
            sch.parallel(analysis.outermost(sch, spatial)[0] if many else spatial[0])
        _begin(sch, block, reduction)
    return sch


def _begin(sch: s_tir.Schedule, block: s_tir.schedule.SBlockRV, reduction: list) -> None:
    """Write a reduction's initial value in a separate block, if the reduction may be empty.

    An empty reduction runs no iteration that would write it.
    """
    if reduction and not analysis.elements(sch, reduction):
        sch.decompose_reduction(block, reduction[0])


def _reads_along(block: s_tir.SBlock, axis: int) -> bool:
    """Whether an iterator moves the last index of one of the block's reads.

    Axes of extent 1 are ignored.
    """
    spatial = [v.var for v in block.iter_vars if v.iter_type == tir.IterVar.DataPar]
    found: list[bool] = []

    def see(var: tir.Var) -> None:
        found.append(var.same_as(spatial[axis]))

    for read in block.reads:
        pairs = zip(read.region, read.source.shape, strict=True)
        moving = [r.min for r, n in pairs if getattr(n, "value", None) != 1]
        if moving:
            tvm_ffi.structural_walk(moving[-1], (tir.Var, see))
    return any(found)
