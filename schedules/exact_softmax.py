"""TVM's own softmax, as sites left exact have it: one parallel loop over rows around all stages.

The sums keep TVM's order, one element after the other, and exp is libm's. The schedule improves
only the locality of a row, the use of cores, and the vectorization of the final division.
"""

import tvm
from tvm import s_tir

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule a function that ends in TVM's softmax along the last axis.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    if not blocks or str(sch.get(blocks[-1]).name_hint) != "T_softmax_norm":
        return None
    *stages, norm = blocks
    loops = sch.get_loops(norm)
    along_rows = int(sch.get(norm).annotations.get("axis", -1)) in (-1, len(loops) - 1)
    names = [str(sch.get(stage).name_hint) for stage in stages]
    if not along_rows or names != ["T_softmax_maxelem", "T_softmax_exp", "T_softmax_expsum"]:
        return None
    count = analysis.elements(sch, loops)
    if count == 0 or len(loops) < 2:
        return None
    widest, row = analysis.outermost(sch, loops[:-1])
    if analysis.worth_threads(count):
        sch.parallel(widest)
    for stage in reversed(stages):
        sch.compute_at(stage, row, preserve_unit_loops=False)
    analysis.vectorize(sch, sch.get_loops(norm)[-1], analysis.lanes(target))
    return sch
