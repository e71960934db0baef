"""The cases of a product whose rows or columns are known only at run time, each with its tile.

- Columns: a wide tile if it fits, else one vector, else a part of a vector.
- Rows: a tile as high as static rows would get, which divides them evenly, or two of half that
  height if they take hardly longer. Fewer heights for narrow tiles and for images.
- A right operand that is not packed is copied if there are many rows.
- Threads: none if the result is small and the weights are few.

Every tile fits its case at least once, so that no tile needs a guard.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import tvm

from quake_tvm.tvm_version import tir

from . import analysis
from .choices import choices
from .product import Product
from .product_tiles import PACK_ROWS, Plan, work
from .versions import balanced, cost, thread_cases, vector_widths

Extent: TypeAlias = int | tir.Expr
Conditions: TypeAlias = list[tir.Expr]
# Heights of tiles of at most one vector. Eight sums hide the latency of additions.
NARROW = (8, 4, 2, 1)
# Narrow tiles that are lower than this are little work, unless the known extents alone make it
# much. For unknown ones to count, more versions would be compiled.
WORTH_THREADS = 4
# The lowest heights of wide tiles of images.
LOWEST = (4, 1)
# Weights of so many elements take longer to read than a thread to start, even for one row.
HEAVY = 1 << 17
# Tiles of up to this height come in every height, but those for which two of half the height take
# at most this many times as long.
MOST = 8
SLOWER = 1.05


def cases(
    shape: Sequence[Extent], found: Product, plan: Plan, target: tvm.target.Target
) -> Iterator[tuple[tir.Expr, tir.Expr, Plan]]:
    """All cases. The first one whose condition holds applies.

    Parameters
    ----------
    shape : sequence of int or Expr
        Extents of the result, columns last.
    found : Product
    plan : Plan
        The plan for unknown extents.
    target : tvm.target.Target

    Yields
    ------
    Expr, Expr, Plan
        When the case applies, what is known of the extents then, and its plan.
    """
    rows, columns = shape[found.row], shape[found.column]
    depth = found.key["depth"]
    per_sum = work(depth)
    least = math.prod(n for n in shape if isinstance(n, int)) * per_sum
    count = math.prod(shape, start=tir.const(per_sum, "int64"))
    lead = [shape[n] for n in (*found.batch, *(found.free if plan.by_rows else ()))]
    # Whether the tiled rows are the only extent that may be large.
    alone = all(isinstance(n, int) for axis, n in enumerate(shape) if axis != found.row)
    heavy = isinstance(columns, int) and depth is not None and columns * depth >= HEAVY
    for fits, wide, low in _widths(columns, plan, bool(found.packed), target):
        for when, given, tile, most in _heights(rows, wide, low, alone, found.pixels):
            size = tile.rows if plan.by_rows else tile.vectors * tile.lanes
            outer = [*lead, -(-(rows if plan.by_rows else columns) // size)]
            fused = [math.prod(outer[n] for n in each) for each in analysis.grouped(outer)]
            threads: Iterator[tuple[Conditions, int | None]]
            # Near the threshold it hardly matters, and a version costs compile time.
            high = 1 if isinstance(rows, int) else tile.rows
            many = heavy or analysis.worth_threads(2 * least * high)
            most_rows = most if alone and not many else None
            too_little = most_rows is not None and not analysis.worth_threads(least * most_rows)
            if plan.by_rows:  # there are many pixels
                threads = iter([([], len(fused[:2]) - 1)])
            elif too_little or (low and not many and tile.rows < WORTH_THREADS):
                threads = iter([([], None)])
            else:
                # Of products of a batch with few rows, those in the batch run side by side.
                few = not found.packed and not tile.copied
                threads = thread_cases(fused[:1] if few else fused, count, many)
            for sizes, parallel in threads:
                own = replace(tile, parallel=parallel)
                yield _all([*fits, *when, *sizes]), _all([*fits, *given]), own


def _all(conditions: Conditions) -> tir.Expr:
    return tir.all(*conditions) if conditions else tir.const(True, "bool")


def _widths(
    columns: Extent, plan: Plan, packed: bool, target: tvm.target.Target
) -> Iterator[tuple[Conditions, Plan, tuple[int, ...]]]:
    """The widths of tiles: when each fits, its highest tile, and its heights if they are few."""
    if isinstance(columns, int):
        yield [], plan, ()
        return
    lanes = analysis.lanes(target)
    vectors, most = next(iter(choices(target).tiles.items()))
    wide = replace(plan, vectors=vectors, lanes=lanes, rows=most, copied=not packed)
    yield [columns >= vectors * lanes], wide, ()
    for width in vector_widths(lanes):
        narrow = replace(wide, vectors=1, lanes=width, rows=NARROW[0], copied=False)
        yield [columns >= width], narrow, NARROW


def _heights(
    rows: Extent, plan: Plan, low: Sequence[int], alone: bool, pixels: bool
) -> Iterator[tuple[Conditions, Conditions, Plan, int | None]]:
    """The heights of tiles of one width.

    Yields when each applies, what is known then, its plan, and the most rows, None if any number.
    """
    most = plan.rows
    if isinstance(rows, int):
        copied = plan.copied and rows >= PACK_ROWS
        yield [], [], replace(plan, rows=analysis.balanced(rows, most), copied=copied), rows
        return
    if low:
        yield from _lower(rows, plan, low)
        return
    if plan.by_rows or pixels or most > MOST:  # images are rarely narrower than a tile
        half = max(most // 2, 1)
        lower = [n for n in dict.fromkeys((half, *LOWEST)) if n <= half]
        if alone and len(lower) > 2:  # few rows are little work
            lower = lower[1:]
        if most > half:  # the highest tile where lower ones do not take less time
            least = cost(rows, most, plan.vectors) <= cost(rows, lower[0], plan.vectors)
            yield [rows >= most, least], [rows >= most], plan, None
        yield from _lower(rows, plan, lower)
        return
    for copied in (True, False) if plan.copied else (False,):
        counts = range(PACK_ROWS, PACK_ROWS * most) if copied else range(1, most + 1)
        many = [rows >= PACK_ROWS] if copied else []
        every = {analysis.balanced(n, most) for n in counts}
        halved = {n for n in every - {most} if n // 2 in every and _halves(n, plan.vectors)}
        halved -= {2 * n for n in halved}  # whose half has no version
        for own in sorted(every - halved, reverse=True):
            even = balanced(rows, most) == own
            twice = 2 * own in halved
            if twice:
                even = tir.any(even, balanced(rows, most) == 2 * own)
            # More rows than a tile has are at least two tiles, of more than half its height.
            alike = None if copied or twice or 2 * own > most else own
            yield [*many, even], [rows >= own], replace(plan, rows=own, copied=copied), alike


def _halves(high: int, vectors: int) -> bool:
    """Whether two tiles of half this height take hardly longer, and no version is needed for it."""
    two = 2 * analysis.tile_cost(high // 2, vectors)
    return high % 2 == 0 and two <= SLOWER * analysis.tile_cost(high, vectors)


def _lower(
    rows: tir.Expr, plan: Plan, heights: Sequence[int]
) -> Iterator[tuple[Conditions, Conditions, Plan, int | None]]:
    """Tiles of descending heights, each where no higher one fits."""
    most: int | None = None
    for own in heights:
        yield [rows >= own], [rows >= own], replace(plan, rows=own), most
        most = own - 1
