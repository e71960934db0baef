"""Matrix products and convolutions with their epilogue, one register tile at a time.

The products are those that :mod:`product` recognises.

1. Inline the epilogue into its last block.
2. Split the result into tiles of rows by vectors of columns. Accumulate each tile in registers over
   all of k. Walk the larger operand in the outermost loop, so that it is read once. Run the outer
   loops on all cores. A right operand that is not packed and is used by many rows is copied, a
   panel of columns at a time, into contiguous memory.
3. Write each tile through the epilogue once.
4. The last tile of a row or column overlaps the one before.

k is not split into partial sums, so an element's bits are those of the plain loop.
"""

import math
from dataclasses import dataclass

import tvm
from tvm import s_tir

from quake_tvm.tvm_version import tir

from . import analysis, product
from .choice import RULE_DEFAULT, Choice, Decide
from .choices import choices
from .overlap import OVERLAP
from .product import Product

# From this many rows on, it pays to copy a panel of columns into contiguous memory.
PACK_ROWS = 32
# Options: a tile's width in vectors of columns, its maximum of rows, and the unroll factor of k.
VECTORS, ROWS, UNROLL = (1, 2, 3, 4, 6), (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 4)


def panel(
    rows: int | None,
    columns: int | None,
    target: tvm.target.Target,
    choice: Choice = RULE_DEFAULT,
) -> int:
    """The columns of a tile. A panel of packed weights has the same width.

    Parameters
    ----------
    rows : int or None
        Extent of the dimension that the tile's rows are taken from, None if unknown.
    columns : int or None
        Columns of the product, None if unknown.
    target : tvm.target.Target
    choice : Choice
        The tunable parameters of the product.
    """
    options = widths(columns, target)
    return options[choice.pick("vectors", list(options), _vectors(rows, columns, target))]


def widths(columns: int | None, target: tvm.target.Target) -> dict[int, int]:
    """The possible tile widths: vectors mapped to columns."""
    lanes = _lanes(columns, target)
    if columns is None:
        return {1: lanes}
    return {n: n * lanes for n in VECTORS if n * lanes <= columns}


def _lanes(columns: int | None, target: tvm.target.Target) -> int:
    width = analysis.lanes(target)
    return width if columns is None else min(width, 1 << (columns.bit_length() - 1))


def _vectors(rows: int | None, columns: int | None, target: tvm.target.Target) -> int:
    """The tile width, in vectors, that computes the product at the lowest estimated cost."""
    lanes, options = _lanes(columns, target), widths(columns, target)
    best, found = math.inf, 1
    for vectors, most in choices(target).tiles.items():
        if vectors not in options:
            continue
        height = analysis.balanced(rows, most)
        count = (1 / height if rows is None else -(-rows // height)) * -(
            -(columns or 1) // (vectors * lanes)
        )
        # Multiply-adds and loads, but at least the latency of a chain of dependent additions.
        cost = count * max(height * vectors + (height + vectors) / 4, 8)
        if cost < best * 0.999:
            best, found = cost, vectors
    return found


def _rows(vectors: int, target: tvm.target.Target) -> int:
    """The most rows of a tile of this width, from the target's table or from its registers."""
    tiles = choices(target).tiles
    return tiles.get(vectors) or max(n * rows for n, rows in tiles.items()) // vectors


@dataclass(frozen=True)
class _Plan:
    """The tunable parameters of a product: its tile, and how its loops run."""

    rows: int
    vectors: int
    copied: bool
    by_rows: bool
    unroll: int
    parallel: bool


def _plan(
    found: Product,
    rows: int | None,
    columns: int | None,
    innermost: int | None,
    target: tvm.target.Target,
    choice: Choice,
) -> _Plan:
    """Choose the parameters for a result of this many rows and columns.

    ``rows`` and ``columns`` are the extents that the tile divides, ``innermost`` is the extent of
    the last loop over k.
    """
    uses, whole = found.key["rows"], found.key["columns"]
    options = list(widths(columns, target))
    if found.packed:
        options = [found.packed // _lanes(whole, target)]
        # The choice was made for another tile width, so its height does not apply either.
        if choice.pick("vectors", options, 0) not in options:
            choice = RULE_DEFAULT
        (vectors,) = options
    else:
        vectors = choice.pick("vectors", options, _vectors(rows, columns, target))
    heights = [n for n in ROWS if n * vectors <= choices(target).registers]
    height = choice.pick("rows", heights, _rows(vectors, target))
    copied = by_rows = False
    if not found.packed and columns is not None:
        copied = bool(choice.pick("copy", (0, 1), int(uses is None or uses >= PACK_ROWS)))
    if not copied:
        by_rows = bool(choice.pick("walk", (0, 1), int(found.rows_larger)))
    unrolled = [n for n in UNROLL if innermost is not None and innermost % n == 0]
    count = analysis.volume(found.key.shape[:-1])  # of the result: all extents except the depth
    return _Plan(
        analysis.balanced(rows, height),
        vectors,
        copied,
        by_rows,
        choice.pick("unroll", unrolled, 1),
        analysis.in_parallel(choice, None if count is None else count * 8),
    )


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule one product and what is fused around it.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    found = product.find(sch, blocks) if blocks else None
    if found is None:
        return None
    loops = sch.get_loops(found.block)
    whole = analysis.extent(sch, loops[found.column])
    if analysis.elements(sch, loops) == 0:
        return None
    if found.packed and found.packed not in widths(whole, target).values():
        return None
    innermost = analysis.extent(sch, loops[-1])
    for producer in sch.get_producers(found.block):
        analysis.copy(sch, producer, target)
    epilogue = analysis.in_registers(sch, found.block, target)
    own = sch.get_loops(epilogue)
    if len(own) != found.column + 1 or analysis.elements(sch, own) == 0:
        return None
    # The epilogue may write only the beginning of the product's result.
    rows, columns = (analysis.extent(sch, own[n]) for n in (found.row, found.column))
    width = _lanes(whole if found.packed else columns, target)
    plan = _plan(found, rows, columns, innermost, target, decide(found.key))
    i_outer, i_inner = sch.split(own[found.row], [None, plan.rows])
    j_outer, j_inner = sch.split(own[found.column], [None, plan.vectors * width])
    batch, free = [own[n] for n in found.batch], [own[n] for n in found.free]
    first, second = (i_outer, j_outer) if plan.by_rows else (j_outer, i_outer)
    lead, rest = [*batch, *(free if plan.by_rows else ())], [] if plan.by_rows else free
    # The last tile gets a loop of its own if the extent is unknown, or if the epilogue writes fewer
    # columns than the panels have.
    cut = bool(found.packed) and columns != whole
    if (rows if plan.by_rows else columns) is None or (cut and lead and not plan.by_rows):
        shared, walked = lead, [first, *rest, second]
    else:
        shared, walked = [*lead, first], [*rest, second]
    copy = sch.cache_read(found.block, 1, "global") if plan.copied else None
    sch.reorder(*shared, *walked, i_inner, j_inner)
    for loop, extent in ((i_outer, rows), (j_outer, columns)):
        if extent is None:
            analysis.peel(sch, loop)
    sch.annotate(epilogue, OVERLAP, [found.row] if cut else [found.row, found.column])
    outer = sch.fuse(*shared) if shared else sch.add_unit_loop(walked[0])
    if cut:
        analysis.peel(sch, j_outer if j_outer in walked else outer)
    if plan.parallel:
        sch.parallel(outer)
    sch.compute_at(found.block, walked[-1], preserve_unit_loops=True)
    if copy is not None:
        sch.compute_at(copy, outer, preserve_unit_loops=True)
        *_, along = sch.get_loops(copy)
        sch.vectorize(sch.split(along, [None, width])[1])
    _registers(sch, found, width, plan.unroll)
    sch.vectorize(sch.split(j_inner, [None, width])[1])
    return sch


def _registers(sch: s_tir.Schedule, found: Product, width: int, unroll: int) -> None:
    """Reorder the loops in a tile: k outermost, rows and vectors unrolled inside."""
    inner = sch.get_loops(found.block)[-len(sch.get(found.block).iter_vars) :]
    m, n, depth = inner[found.row], inner[found.column], inner[found.column + 1 :]
    if unroll > 1:
        depth[-1:] = sch.split(depth[-1], [None, unroll])
        sch.unroll(depth[-1])
    n_outer, n_vector = sch.split(n, [None, width])
    sch.reorder(*depth, m, n_outer, n_vector)
    sch.vectorize(n_vector)
    sch.unroll(m)
    sch.unroll(n_outer)
    init = sch.decompose_reduction(found.block, depth[0])
    *_, m, n_outer, n_vector = sch.get_loops(init)
    sch.vectorize(n_vector)
    sch.unroll(m)
    sch.unroll(n_outer)
