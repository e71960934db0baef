"""Matrix products with their whole epilogue: a register tile, the epilogue while it is hot.

1. Inline the epilogue into its last block.
2. Walk panels of columns outermost, on all cores, each copied together once if it is used often
   enough: a weight larger than the cache is read once, and in order.
3. Within a panel tiles of rows by vectors of columns, accumulated in registers over all of k.
4. Write each tile through the epilogue once.

k is not split into partial sums, so an element's bits are those of the plain loop.
"""

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.generation import tir

from . import analysis
from .x86 import TILES

# From this many rows on, copying a panel of columns together pays.
PACK_ROWS = 32


def panel(columns: int, target: tvm.target.Target) -> int | None:
    """Columns of a tile, which is a panel of packed weights; None where no tile fits."""
    tile = _tile(columns, analysis.lanes(target))
    return None if tile is None else tile[1] * analysis.lanes(target)


def _tile(columns: int, width: int) -> tuple[int, int] | None:
    """(rows, vectors) of the best register tile whose vectors divide the columns."""
    return next((t for t in TILES[width] if columns and columns % (width * t[1]) == 0), None)


def _product(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> tuple[SBlockRV, int | None] | None:
    """The one reduction block, if it is c[.., i, j] += a[.., i, k] * b[.., k, j].

    With it the width of b's panels, if it is packed: b[j // p, k, j % p].
    """
    reductions = [b for b in blocks if "R" in analysis.kinds(sch, b)]
    if len(reductions) != 1:
        return None
    block = sch.get(reductions[0])
    if not analysis.kinds(sch, reductions[0]).endswith("SSR") or len(block.reads) != 2:
        return None
    *_, i, j, k = (v.var for v in block.iter_vars)

    accesses = [*block.reads, block.writes[0]]
    last_two = [[r.min for r in access.region][-2:] for access in accesses]
    if all(map(analysis.same, last_two, [[i, k], [k, j], [i, j]])):
        return reductions[0], None
    weights = block.reads[1]
    width = weights.source.shape[-1]
    packed = [j // width, k, j % width]
    in_panels = analysis.same([r.min for r in weights.region], packed)
    if in_panels and all(map(analysis.same, last_two[::2], [[i, k], [i, j]])):
        return reductions[0], int(width)
    return None


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, tunable: bool
) -> s_tir.Schedule | None:
    """Schedule one matrix product, batched or not, and what is fused behind it."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    found = _product(sch, blocks) if blocks else None
    if found is None or sch.get_producers(found[0]):
        return None
    product, packed_width = found
    *_, m, n, _ = sch.get_loops(product)
    width = analysis.lanes(target)
    columns, rows = analysis.extent(sch, n), analysis.extent(sch, m)
    tile = _tile(columns or 0, width)
    if tile is None or rows == 0 or packed_width not in (None, tile[1] * width):
        return None
    tile_rows, vectors = tile
    epilogue = _inline_epilogue(sch, product)
    if epilogue is None:
        epilogue = sch.cache_write(product, 0, "local")
    else:
        sch.set_scope(product, 0, "local")
    *batch, m, n, k = sch.get_loops(product)
    count = analysis.elements(sch, [*batch, m, n])
    own = sch.get_loops(epilogue)
    if len(own) != len(batch) + 2:
        return None
    *batch, i, j = own
    i_outer, i_inner = sch.split(i, [None, min(tile_rows, rows or tile_rows)])
    j_outer, j_inner = sch.split(j, [None, vectors * width])
    used_often = packed_width is None and (rows is None or rows >= PACK_ROWS)
    packed = sch.cache_read(product, 1, "global") if used_often else None
    sch.reorder(*batch, j_outer, i_outer, i_inner, j_inner)
    if rows is None or rows % tile_rows:
        analysis.peel(sch, i_outer)
    outer = sch.fuse(*batch, j_outer)
    if analysis.worth_threads(None if count is None else count * 8):
        sch.parallel(outer)
    sch.compute_at(product, i_outer, preserve_unit_loops=True)
    if packed is not None:
        sch.compute_at(packed, outer, preserve_unit_loops=True)
        *_, columns = sch.get_loops(packed)
        sch.vectorize(sch.split(columns, [None, width])[1])
    *_, m, n, k = sch.get_loops(product)
    n_vector = sch.split(n, [None, width])
    sch.reorder(k, m, *n_vector)
    sch.vectorize(n_vector[1])
    sch.unroll(m)
    sch.unroll(n_vector[0])
    init = sch.decompose_reduction(product, k)
    *_, m, n, vector = sch.get_loops(init)
    sch.vectorize(vector)
    sch.unroll(m)
    sch.unroll(n)
    sch.vectorize(sch.split(j_inner, [None, width])[1])
    return sch


def _inline_epilogue(sch: s_tir.Schedule, product: SBlockRV) -> SBlockRV | None:
    """Inline the blocks behind the product into the last one; None if there is none."""
    last = None
    for block in analysis.blocks(sch):
        if sch.get(block).name_hint == sch.get(product).name_hint:
            continue
        if sch.get_consumers(block):
            sch.compute_inline(block)
        else:
            last = block
    return last
