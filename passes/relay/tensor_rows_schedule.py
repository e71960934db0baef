"""The default schedule of ``kernels.tensor_rows``: one row at a time, vectorized.

Reductions run in sixteen lanes, which are then added four at a time, so that maxima and sums are
vector instructions. A loop whose extent is no multiple of a vector is not vectorized here. TVM
would split all its vectors into scalars, while LLVM vectorizes all iterations but the last. Knows
stages by their shape, no formula.
"""

import math

import tvm
from tvm import te

from ...kernels.row_kernel import PARALLEL_ELEMENTS
from ...kernels.rows import LANES
from ...kernels.tensor_rows import PADDED


def schedule(outs: list[te.Tensor], target: tvm.target.Target) -> te.Schedule:
    """Schedule one of the operators.

    Parameters
    ----------
    outs : list of te.Tensor
        The operator's result, one tensor.
    target : tvm.target.Target
        Only LLVM targets get vectors, since C has none.
    """
    (out,) = outs
    s = te.create_schedule(out.op)
    stages = [stage.op.output(0) for stage in s.stages if isinstance(stage.op, te.ComputeOp)]
    sums = [stage for stage in stages if stage.op.reduce_axis]
    rank = len(sums[0].shape)
    row = s[out].fuse(*out.op.axis[:rank])
    length = sums[0].op.reduce_axis[0].dom.extent
    if math.prod(map(int, sums[0].shape)) * int(length) >= PARALLEL_ELEMENTS:
        s[out].parallel(row)
    for stage in stages[:-1]:
        s[stage].compute_at(s[out], row)
    if target.kind.name != "llvm":
        return s
    for stage in stages:
        along = len(stage.shape) > rank and stage.shape[-1] % LANES == 0
        if along and stage.op.name != PADDED:
            s[stage].vectorize(s[stage].split(stage.op.axis[-1], LANES)[1])
    for stage in sums:
        for lanes in (LANES, 4):
            _reduce_in_lanes(s, stage, lanes, s[out], row)
    return s


def _reduce_in_lanes(
    s: te.Schedule, reduction: te.Tensor, lanes: int, at: te.schedule.Stage, row: tvm.tir.IterVar
) -> None:
    """Reduce every ``lanes``-th element separately, then reduce these results.

    A reduction of at most ``lanes`` elements is unchanged.
    """
    (axis,) = s[reduction].op.reduce_axis
    if axis.dom.extent <= lanes:
        return
    partial = s.rfactor(reduction, s[reduction].split(axis, lanes)[1], factor_axis=-1)
    s[partial].compute_at(at, row)
    (step,), lane = s[partial].op.reduce_axis, s[partial].op.axis[-1]
    s[partial].reorder(step, lane)
    s[partial].vectorize(lane)
