"""Element-wise chains, broadcasts, copies and transposes: each element is loaded and stored once.

1. Inline every block into its consumer, so that one block is left for each result.
2. Fuse all loops if every buffer is accessed with the same indices, else all but the last.
3. Vectorize the innermost loop. A fused loop takes several vectors in each iteration. Run the
   outermost loop on all cores if the kernel is long enough.
"""

import math
import re
from collections.abc import Iterator
from functools import cache

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.tvm_version import tir

from . import analysis
from .choice import RULE_DEFAULT, Decide, Key
from .choices import choices
from .flat import flattened, in_vectors, with_long_rows
from .overlap import OVERLAP, overlaps
from .rule import Scheduled
from .segments import in_segments, segments
from .stages import vectorize_last
from .tables import in_tables
from .tiles import with_own_values
from .versions import Version, least, thread_cases, vector_widths

# How many bytes are computed in the time of one float32, about.
_BYTES_OF_ONE = 8
# Options for the vectors of one iteration.
SEVERAL = (1, 2, 4, 8)


@cache
def _named(operators: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"quake_({'|'.join(sorted(operators, key=len, reverse=True))})_?\d*")


def _operators(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> str:
    """The QuAKE operators among the blocks, joined by ``+``.

    TVM appends a number to a block's name if the name is taken.
    """
    named = _named(tuple(OPERATORS))
    names = (named.fullmatch(str(sch.get(block).name_hint)) for block in blocks)
    return "+".join(sorted({name[1] for name in names if name})) or "elementwise"


def _shape(sch: s_tir.Schedule, block: SBlockRV, loops: list[LoopRV]) -> tuple[int | None, ...]:
    """The key's shape: (elements,) for a fused loop, else (outer elements, last extent)."""
    if _walked_alike(sch.get(block)):
        return (analysis.elements(sch, loops),)
    return analysis.elements(sch, loops[:-1]), analysis.extent(sch, loops[-1])


def _walked_alike(block: s_tir.SBlock) -> bool:
    """Whether all reads have the write's indices and shape. A fused loop is then contiguous."""
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
    """How many vectors to compute in one iteration.

    A nonlinearity is a long chain of dependent operations. Independent vectors hide the latency of
    these operations. More vectors are taken only if they leave a rest of less than one vector.
    """
    lanes = analysis.lanes(target)
    if count is None:
        return 1
    wide = (n * lanes for n in choices(target).several)
    return next((n for n in wide if n <= count and count % n < lanes), lanes) // lanes


def _stages(
    function: tir.PrimFunc,
) -> tuple[s_tir.Schedule, str, list[tuple[SBlockRV, list[LoopRV]]]] | None:
    """A schedule with everything inlined, the operators, and the results with their loops.

    None if a block is not spatial, or if it cannot be inlined. Results without elements are left
    out.
    """
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    if not blocks or any(set(analysis.kinds(sch, b)) - {"S"} for b in blocks):
        return None
    operator = _operators(sch, blocks)
    for block in blocks:
        if sch.get_consumers(block):
            try:
                sch.compute_inline(block)
            except s_tir.ScheduleError:
                return None
    blocks = analysis.blocks(sch) or []
    results = [(block, loops) for block in blocks if (loops := sch.get_loops(block))]
    results = [result for result in results if analysis.elements(sch, result[1]) != 0]
    return sch, operator, results


def apply(function: tir.PrimFunc, target: tvm.target.Target, decide: Decide) -> Scheduled:
    """Schedule a function that has spatial blocks only.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    stages = _stages(function)
    if stages is None:
        return None
    sch, operator, results = stages
    if not results:
        return sch
    alone = len(results) == len(analysis.blocks(sch) or []) == 1
    if alone and analysis.elements(sch, results[0][1]) is None:
        if cut := list(_cut_versions(sch, target)):
            return cut
        versions = list(_versions(sch, target))
        if overlaps(versions[0].function, versions[0].given):
            return versions
    lanes = _lanes(sch, target)
    count = analysis.elements(sch, results[0][1])
    in_bytes = alone and lanes > analysis.lanes(target)
    flat = flattened(sch.mod["main"]) if in_bytes else None
    if flat is not None and count is not None:
        return _in_bytes(flat, count, lanes, decide)
    # Several results may have different loops, so no single choice applies to them.
    choice = decide(Key(operator, _shape(sch, *results[0]))) if len(results) == 1 else RULE_DEFAULT
    found = segments(sch.mod["main"]) if alone and count is not None else None
    if found is not None:
        *outer, _ = results[0][1]
        if outer and analysis.in_parallel(choice, count):
            sch.parallel(sch.fuse(*outer))
        rows = in_segments(sch.mod["main"], found, vector_widths(lanes)[:-1])
        return s_tir.Schedule(tvm.IRModule({"main": rows}))
    for block, loops in results:
        count = analysis.elements(sch, loops)
        if _walked_alike(sch.get(block)):
            several = choice.pick("several", SEVERAL, _several(count, target))
            outer = analysis.vectorize(sch, sch.fuse(*loops), several * lanes)
        else:
            several = choice.pick("several", SEVERAL, 1)
            inner = vectorize_last(sch, block, loops[-1], several * lanes)
            outer = sch.fuse(*loops[:-1]) if len(loops) > 1 else inner
        if analysis.in_parallel(choice, count):
            sch.parallel(outer)
    return sch


def _lanes(sch: s_tir.Schedule, target: tvm.target.Target) -> int:
    """The elements of a vector register: of float32, unless all tensors hold bytes."""
    tensors = [p.ty for p in sch.mod["main"].params if hasattr(p.ty, "shape")]
    widest = max(tvm.DataType(str(tensor.dtype)).bits for tensor in tensors)
    return analysis.lanes(target) * (4 if widest == 8 else 1)


def _in_bytes(flat: tir.PrimFunc, count: int, lanes: int, decide: Decide) -> s_tir.Schedule:
    """The schedule of a flattened kernel of so many bytes."""
    choice = decide(Key("elementwise", (count,)))
    several = choice.pick("several", SEVERAL, 2)
    width = min(several * lanes, 1 << (count.bit_length() - 1))
    parallel = analysis.in_parallel(choice, count // _BYTES_OF_ONE)
    return s_tir.Schedule(tvm.IRModule({"main": in_vectors(flat, width, parallel)}))


def _versions(sch: s_tir.Schedule, target: tvm.target.Target) -> Iterator[Version]:
    """The schedules of one result of symbolic shape: by its last extent, and by its size."""
    flat = flattened(sch.mod["main"])
    joined = with_long_rows(sch.mod["main"]) if flat is None else None
    if joined is not None:
        sch = analysis.start(joined.with_body(with_own_values(joined.body)))
    (block,) = analysis.blocks(sch) or []
    *outer, last = (sch.get(loop).extent for loop in sch.get_loops(block))
    count = math.prod(outer, start=last)
    if flat is not None:
        outer, last = [], count
    fused = [math.prod(outer[n] for n in each) for each in analysis.grouped(outer)]
    widths = list(_vector_widths(last, bool(outer), sch, target))
    for width in widths:
        threads = list(thread_cases(fused or [last], count))
        if flat is not None and width != widths[0]:
            threads = threads[:1]  # fewer elements than a wide vector need no threads
        for when, parallel in threads:
            fits = last >= width
            if flat is not None:
                function = in_vectors(flat, width, parallel is not None)
            else:
                function = in_tables(_scheduled(sch.copy(), width, parallel).mod["main"])
            yield Version(function, tir.all(fits, *when), tir.all(fits))


def _cut_versions(sch: s_tir.Schedule, target: tvm.target.Target) -> Iterator[Version]:
    """The schedules of one result whose rows have segments, by its size."""
    (block,) = analysis.blocks(sch) or []
    *outer, last = (sch.get(loop).extent for loop in sch.get_loops(block))
    found = segments(sch.mod["main"]) if outer else None
    if found is None:
        return
    groups, always = analysis.grouped(outer), tir.const(True, "bool")
    fused = [math.prod(outer[n] for n in each) for each in groups]
    for when, parallel in thread_cases(fused, math.prod(outer, start=last)):
        own = sch.copy()
        loops = analysis.groups(own, own.get_loops(block)[:-1])
        if parallel is not None:
            own.parallel(loops[parallel])
        rows = in_segments(own.mod["main"], found, vector_widths(analysis.lanes(target))[:-1])
        yield Version(rows, tir.all(always, *when), always)


def _vector_widths(
    last: tir.Expr, outer: bool, sch: s_tir.Schedule, target: tvm.target.Target
) -> Iterator[int]:
    """How many elements of the last axis are computed at once, widest first.

    The last width fits every axis that has elements.
    """
    lanes, known = _lanes(sch, target), analysis.constant(last)
    if known is not None:
        yield min(lanes, 1 << (known.bit_length() - 1))
        return
    widths = [choices(target).several[0] * lanes] if not outer else []
    for width in [*widths, *vector_widths(lanes)]:
        yield width
        if width <= least(last):
            return


def _scheduled(sch: s_tir.Schedule, width: int, parallel: int | None) -> s_tir.Schedule:
    """Vectorize the last axis and run one of the outer loops on all cores."""
    (block,) = analysis.blocks(sch) or []
    *outer, last = sch.get_loops(block)
    first, inner = sch.split(last, [None, width])
    sch.vectorize(inner)
    sch.annotate(block, OVERLAP, [len(outer)])
    if parallel is not None:
        sch.parallel((analysis.groups(sch, outer) or [first])[parallel])
    return sch
