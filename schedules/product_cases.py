"""The cases of a product whose rows or columns are known only at run time, each with its tile.

- Columns: a wide tile if it fits, else one vector, else a part of a vector.
- Rows: a tile as high as static rows would get, which divides them evenly. Fewer heights for
  narrow tiles.
- A right operand that is not packed is copied if there are many rows.
- Threads: none if the result is small.

Every tile fits its case at least once, so that no tile needs a guard.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import tvm

from quake_tvm.kernels.rows import PARALLEL_ELEMENTS
from quake_tvm.tvm_version import tir

from . import analysis
from .choices import choices
from .product_tiles import PACK_ROWS, WORK, Plan
from .versions import balanced

Extent = int | tir.Expr
Conditions = list[tir.Expr]
# Heights of tiles that are one vector wide, and of narrower ones.
LOW, LOWEST = (16, 8, 4, 2, 1), (4, 1)


def cases(
    shape: Sequence[Extent], row: int, plan: Plan, packed: bool, target: tvm.target.Target
) -> Iterator[tuple[tir.Expr, tir.Expr, Plan]]:
    """All cases. The first one whose condition holds applies.

    Parameters
    ----------
    shape : sequence of int or Expr
        Extents of the result, columns last.
    row : int
        The axis that tiles divide into rows.
    plan : Plan
        The plan for unknown extents.
    packed : bool
        Whether the right operand is packed.
    target : tvm.target.Target

    Yields
    ------
    Expr, Expr, Plan
        When the case applies, what is known of the extents then, and its plan.
    """
    least = math.prod(n for n in shape if isinstance(n, int)) * WORK
    count = math.prod(shape, start=tir.const(WORK, "int64"))
    for fits, wide, low in _widths(shape[-1], plan, packed, target):
        for when, given, tile in _heights(shape[row], wide, low):
            surely = least * (1 if isinstance(shape[row], int) else tile.rows)
            for parallel in (True,) if analysis.worth_threads(surely) else (False, True):
                few = [] if parallel else [count < PARALLEL_ELEMENTS]
                own = replace(tile, parallel=parallel)
                yield _all([*fits, *when, *few]), _all([*fits, *given]), own


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
    while lanes:
        low = LOW if lanes == analysis.lanes(target) else LOWEST
        narrow = replace(wide, vectors=1, lanes=lanes, rows=low[0], copied=False)
        yield [columns >= lanes], narrow, low
        lanes = lanes // 2 if lanes > 4 else lanes // 4  # at last 1


def _heights(
    rows: Extent, plan: Plan, low: Sequence[int]
) -> Iterator[tuple[Conditions, Conditions, Plan]]:
    """The heights of tiles of one width: when each applies, what is known then, and its plan."""
    most = plan.rows
    if isinstance(rows, int):
        copied = plan.copied and rows >= PACK_ROWS
        yield [], [], replace(plan, rows=analysis.balanced(rows, most), copied=copied)
        return
    if low:
        for high in low:
            yield [rows >= high], [rows >= high], replace(plan, rows=high)
        return
    for copied in (True, False) if plan.copied else (False,):
        counts = range(PACK_ROWS, PACK_ROWS * most) if copied else range(1, most + 1)
        for high in sorted({analysis.balanced(n, most) for n in counts}, reverse=True):
            many = [rows >= PACK_ROWS] if copied else []
            even = balanced(rows, most) == high
            yield [*many, even], [rows >= high], replace(plan, rows=high, copied=copied)
