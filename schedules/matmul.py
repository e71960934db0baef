"""Products with their whole epilogue: a register tile, the epilogue while it is hot.

``c[.., i, .., j] += a[.., i, .., k..] * b[.., k.., j]``: matrix products, batched or not, and
convolutions with channels last, whose rows are pixels and whose k runs over window and channels.

1. Inline the epilogue into its last block.
2. Tiles of rows by vectors of columns, accumulated in registers over all of k. The larger operand
   is walked outermost, so that it is read once; the outer loops run on all cores. A right operand
   that is neither packed nor used seldom is copied together a panel of columns at a time.
3. Write each tile through the epilogue once.
4. The last tile of a row or column overlaps the one before.

k is not split into partial sums, so an element's bits are those of the plain loop.
"""

import math
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.generation import tir

from . import analysis
from .choice import Decide, Key
from .choices import choices
from .overlap import OVERLAP

# From this many rows on, copying a panel of columns together pays.
PACK_ROWS = 32
# Heights of a tile that a tuner may try.
ROWS = (1, 2, 3, 4, 6, 8, 12, 16)


def panel(rows: int | None, columns: int, target: tvm.target.Target) -> int:
    """Columns of a tile, which is a panel of packed weights."""
    return math.prod(_tile(rows, columns, target)[1:])


def _tile(
    rows: int | None, columns: int | None, target: tvm.target.Target, packed: int | None = None
) -> tuple[int, int, int]:
    """(rows, vectors, lanes) of the register tile that computes the product in the fewest steps."""
    tiles, width = choices(target).tiles, analysis.lanes(target)
    if columns is None:
        return tiles[1], 1, width
    lanes = min(width, 1 << (columns.bit_length() - 1))
    best, found = math.inf, (1, 1, lanes)
    for vectors, most in tiles.items():
        if vectors * lanes > columns or packed not in (None, vectors * lanes):
            continue
        height = most if rows is None else -(-rows // -(-rows // most))
        count = (1 / height if rows is None else -(-rows // height)) * -(
            -columns // (vectors * lanes)
        )
        # Multiply-adds, loads, and never faster than a chain of dependent additions.
        cost = count * max(height * vectors + (height + vectors) / 4, 8)
        if cost < best * 0.999:
            best, found = cost, (height, vectors, lanes)
    return found


@dataclass(frozen=True)
class _Product:
    """The product's block and the places of its row and column among its spatial iterators."""

    block: SBlockRV
    row: int
    column: int
    # Places of the outer iterators on which b depends, and of the others.
    batch: tuple[int, ...]
    free: tuple[int, ...]
    packed: int | None
    rows_larger: bool


def _mentions(indices: list[tir.Expr], variable: tir.Var) -> bool:
    found: list[bool] = []

    def see(var: tir.Var) -> None:
        found.append(var.same_as(variable))

    for index in indices:
        tvm_ffi.structural_walk(index, (tir.Var, see))
    return any(found)


def _product(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> _Product | None:
    """The one reduction block, if it is such a product."""
    reductions = [b for b in blocks if "R" in analysis.kinds(sch, b)]
    if len(reductions) != 1:
        return None
    block = sch.get(reductions[0])
    kinds = analysis.kinds(sch, reductions[0])
    if kinds.lstrip("S").strip("R") or kinds.count("S") < 2 or len(block.reads) != 2:
        return None
    spatial = [v.var for v in block.iter_vars][: kinds.count("S")]
    extents = [v.dom.extent for v in block.iter_vars][: len(spatial)]
    a, b, c = ([r.min for r in access.region] for access in (*block.reads, block.writes[0]))
    if not analysis.same(c, spatial) or _mentions(a, spatial[-1]):
        return None
    column = len(spatial) - 1
    packed = _panels(b, spatial[column], block.reads[1].source.shape, extents[column])
    if packed is None:
        return None
    outer = range(column)
    batch = tuple(n for n in outer if _mentions(b, spatial[n]))
    free = [n for n in outer if n not in batch]
    if not free:
        return None
    # The innermost dimension that fills a tile, or else the longest.
    sizes = {n: analysis.constant(extents[n]) for n in free}
    long = [n for n in free if sizes[n] is None or sizes[n] >= 4]
    row = long[-1] if long else max(free, key=lambda n: (sizes[n], n))
    elements = [
        math.prod(analysis.constant(n) or 64 for n in access.source.shape) for access in block.reads
    ]
    return _Product(
        reductions[0],
        row,
        column,
        batch,
        tuple(n for n in free if n != row),
        packed or None,
        elements[0] > elements[1],
    )


def _panels(
    b: list[tir.Expr], column: tir.Var, shape: list[tir.Expr], columns: tir.Expr
) -> int | None:
    """The width of b's panels, 0 if b is a plain matrix with columns last, None if neither."""
    *others, last = b
    along = [n for n, index in enumerate(others) if _mentions([index], column)]
    if last.same_as(column):
        return None if along else 0
    width, count = analysis.constant(shape[-1]), analysis.constant(columns)
    if width is None or count is None or len(along) != 1:
        return None
    wanted = [panel_of(column, width), within_panel(column, width, count)]
    return width if analysis.same([others[along[0]], last], wanted) else None


def panel_of(column: tir.Expr, width: int) -> tir.Expr:
    """The panel that holds a column: panels are ``width`` columns wide."""
    return column // width


def within_panel(column: tir.Expr, width: int, columns: int) -> tir.Expr:
    """A column's place in its panel; the last panel ends with the last of the ``columns``."""
    if columns % width == 0:
        return column % width
    return column - tir.min(column // width * width, columns - width)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Schedule one product and what is fused around it."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    found = _product(sch, blocks) if blocks else None
    if found is None:
        return None
    product = found.block
    loops = sch.get_loops(product)
    rows, columns = (analysis.extent(sch, loops[n]) for n in (found.row, found.column))
    if columns == 0 or rows == 0 or analysis.elements(sch, loops) == 0:
        return None
    tile_rows, vectors, width = _tile(rows, columns, target, found.packed)
    if found.packed not in (None, vectors * width):
        return None
    for producer in sch.get_producers(product):
        analysis.copy(sch, producer, target)
    epilogue = analysis.in_registers(sch, product)
    own = sch.get_loops(epilogue)
    if len(own) != found.column + 1:
        return None
    count = analysis.elements(sch, own)
    uses = analysis.elements(sch, [own[n] for n in (found.row, *found.free)])
    choice = decide(Key("matmul", (rows, columns)))
    height = choice.pick("rows", [n for n in ROWS if rows is None or n <= rows], tile_rows)
    i_outer, i_inner = sch.split(own[found.row], [None, height])
    j_outer, j_inner = sch.split(own[found.column], [None, vectors * width])
    batch, free = [own[n] for n in found.batch], [own[n] for n in found.free]
    copied = not found.packed and columns is not None and (uses is None or uses >= PACK_ROWS)
    by_rows = found.rows_larger and not copied
    first, second = (i_outer, j_outer) if by_rows else (j_outer, i_outer)
    lead, rest = [*batch, *(free if by_rows else ())], [] if by_rows else free
    if (rows if by_rows else columns) is None:  # its last, incomplete tile is a loop of its own
        shared, walked = lead, [first, *rest, second]
    else:
        shared, walked = [*lead, first], [*rest, second]
    copy = sch.cache_read(product, 1, "global") if copied else None
    sch.reorder(*shared, *walked, i_inner, j_inner)
    for loop, extent in ((i_outer, rows), (j_outer, columns)):
        if extent is None:
            analysis.peel(sch, loop)
    for block in (product, epilogue, copy):
        if block is not None:
            sch.annotate(block, OVERLAP, 1)
    outer = sch.fuse(*shared) if shared else sch.add_unit_loop(walked[0])
    if analysis.worth_threads(None if count is None else count * 8):
        sch.parallel(outer)
    sch.compute_at(product, walked[-1], preserve_unit_loops=True)
    if copy is not None:
        sch.compute_at(copy, outer, preserve_unit_loops=True)
        *_, along = sch.get_loops(copy)
        sch.vectorize(sch.split(along, [None, width])[1])
    _registers(sch, product, found, width)
    sch.vectorize(sch.split(j_inner, [None, width])[1])
    return sch


def _registers(sch: s_tir.Schedule, product: SBlockRV, found: _Product, width: int) -> None:
    """Within a tile: k outermost, all rows and vectors unrolled inside."""
    inner = sch.get_loops(product)[-len(sch.get(product).iter_vars) :]
    m, n, depth = inner[found.row], inner[found.column], inner[found.column + 1 :]
    n_outer, n_vector = sch.split(n, [None, width])
    sch.reorder(*depth, m, n_outer, n_vector)
    sch.vectorize(n_vector)
    sch.unroll(m)
    sch.unroll(n_outer)
    init = sch.decompose_reduction(product, depth[0])
    *_, m, n_outer, n_vector = sch.get_loops(init)
    sch.vectorize(n_vector)
    sch.unroll(m)
    sch.unroll(n_outer)
