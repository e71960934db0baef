"""Reductions over axes other than the last: pooling, sums over pixels or tokens.

``c[.., j] = reduce(a[.., k.., j])``: neighbours in memory belong to different sums. So vectors run
along j, and each lane keeps the order of its own sum.

1. Inline the epilogue into its last block.
2. Split the outputs into a few vectors of j and run them on all cores. Accumulate them in registers
   over all of k.
3. The last tile of a row overlaps the one before.
4. If the columns are symbolic, make a version for each width of tiles.
"""

import math
from collections.abc import Sequence

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .overlap import OVERLAP, overlaps
from .rule import Scheduled
from .stages import copy, in_registers
from .versions import Version, of_every_size, thread_cases, vector_widths

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


def apply(function: tir.PrimFunc, target: tvm.target.Target, decide: Decide) -> Scheduled:
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
    if whole in (0, 1) or count == 0:
        return None
    for producer in sch.get_producers(block):
        copy(sch, producer, target)
    epilogue = in_registers(sch, block, target)
    own = sch.get_loops(epilogue)
    # The epilogue may write only the beginning of the reduction's result.
    columns = analysis.extent(sch, own[-1])
    if len(own) != kinds.count("S") or columns == 0 or analysis.elements(sch, own) == 0:
        return None
    if columns is None:
        return _versions(sch, block, epilogue, target)
    width = min(analysis.lanes(target), 1 << (columns.bit_length() - 1))
    rows = None if count is None or whole is None else count // whole
    choice = decide(Key.of("pooling", rows=rows, columns=whole))
    options = [n for n in VECTORS if n * width <= columns]
    vectors = choice.pick("vectors", options, options[0])
    parallel = 1 if analysis.in_parallel(choice, count) else None
    return _tiled(sch, block, epilogue, vectors, width, parallel)


def _versions(
    sch: s_tir.Schedule, block: SBlockRV, epilogue: SBlockRV, target: tvm.target.Target
) -> Sequence[Version] | None:
    """The schedules for columns that only the run knows: by their number, and by all elements."""
    *outer, columns = (sch.get(loop).extent for loop in sch.get_loops(epilogue))
    count = math.prod(
        (sch.get(loop).extent for loop in sch.get_loops(block)), start=tir.const(1, "int64")
    )
    lanes = analysis.lanes(target)
    versions = []
    for vectors, width in ((VECTORS[0], lanes), *((1, n) for n in vector_widths(lanes))):
        size = vectors * width
        extents = [*outer, -(-columns // size)]
        fused = [math.prod(extents[n] for n in each) for each in analysis.grouped(extents)]
        for when, parallel in thread_cases(fused, count):
            tiled = _tiled(sch.copy(), block, epilogue, vectors, width, parallel).mod["main"]
            versions.append(Version(tiled, tir.all(columns >= size, *when), columns >= size))
    if not all(overlaps(each.function, each.given) for each in versions):
        return None
    return of_every_size(versions)


def _tiled(
    sch: s_tir.Schedule,
    block: SBlockRV,
    epilogue: SBlockRV,
    vectors: int,
    width: int,
    parallel: int | None,
) -> s_tir.Schedule:
    """Accumulate tiles of some vectors of columns over all of k.

    ``parallel`` is the number of the outer loop that runs on all cores, if there are as many.
    """
    own, kinds = sch.get_loops(epilogue), analysis.kinds(sch, block)
    j_outer, j_inner = sch.split(own[-1], [None, vectors * width])
    sch.annotate(epilogue, OVERLAP, [len(own) - 1])
    outer = analysis.groups(sch, [*own[:-1], j_outer])
    if parallel is not None:
        sch.parallel(outer[: parallel + 1][-1])
    sch.compute_at(block, outer[-1], preserve_unit_loops=True)
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
