"""Reductions over axes other than the last: pooling, sums over pixels or tokens.

``c[.., j] = reduce(a[.., k.., j])``: neighbours in memory belong to different sums. So vectors run
along j, and each lane keeps the order of its own sum.

1. Inline the epilogue into its last block.
2. Split the outputs into a few vectors of j and run them on all cores. Accumulate them in registers
   over all of k.
3. The last tile of a row overlaps the one before.
"""

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .overlap import OVERLAP

# Options for the vectors of a tile, the default first: independent sums hide the latency of an
# addition.
VECTORS = (4, 2, 1)


def _reduction(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> SBlockRV | None:
    """The kernel's only reduction block, if input and output end in the same spatial iterator."""
    reductions = [b for b in blocks if "R" in analysis.kinds(sch, b)]
    if len(reductions) != 1:
        return None
    block, kinds = sch.get(reductions[0]), analysis.kinds(sch, reductions[0])
    one_each = len(block.reads) == len(block.writes) == 1
    if kinds.lstrip("S").strip("R") or not kinds.startswith("S") or not one_each:
        return None
    spatial = [v.var for v in block.iter_vars][: kinds.count("S")]
    read, write = ([r.min for r in access.region] for access in (block.reads[0], block.writes[0]))
    along = read[-1].same_as(spatial[-1]) and analysis.same(write, spatial)
    return reductions[0] if along else None


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule one such reduction and what is fused around it.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    block = _reduction(sch, blocks) if blocks else None
    if block is None:
        return None
    kinds, count = analysis.kinds(sch, block), analysis.elements(sch, sch.get_loops(block))
    whole = analysis.extent(sch, sch.get_loops(block)[kinds.count("S") - 1])
    if not whole or whole == 1 or count == 0:
        return None
    for producer in sch.get_producers(block):
        analysis.copy(sch, producer, target)
    epilogue = analysis.in_registers(sch, block, target)
    own = sch.get_loops(epilogue)
    # The epilogue may write only the beginning of the reduction's result.
    columns = analysis.extent(sch, own[-1])
    if len(own) != kinds.count("S") or not columns or analysis.elements(sch, own) == 0:
        return None
    width = min(analysis.lanes(target), 1 << (columns.bit_length() - 1))
    choice = decide(
        Key.of("pooling", rows=None if count is None else count // whole, columns=whole)
    )
    options = [n for n in VECTORS if n * width <= columns]
    vectors = choice.pick("vectors", options, options[0])
    j_outer, j_inner = sch.split(own[-1], [None, vectors * width])
    sch.annotate(epilogue, OVERLAP, [len(own) - 1])
    widest, outer = analysis.outermost(sch, [*own[:-1], j_outer])
    if analysis.in_parallel(choice, count):
        sch.parallel(widest)
    sch.compute_at(block, outer, preserve_unit_loops=True)
    inner = sch.get_loops(block)[-len(kinds) :]
    j, reduced = inner[kinds.count("S") - 1], inner[kinds.count("S") :]
    several, vector = sch.split(j, [None, width])
    sch.reorder(*reduced, several, vector)
    sch.vectorize(vector)
    sch.unroll(several)
    init = sch.decompose_reduction(block, reduced[0])
    *_, several, vector = sch.get_loops(init)
    sch.vectorize(vector)
    sch.unroll(several)
    sch.vectorize(sch.split(j_inner, [None, width])[1])
    return sch
