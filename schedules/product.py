"""How matrix products are recognised: operands, iterators and key.

``c[.., i, .., j] += a[.., i, .., k..] * b[.., k.., j]`` covers matrix products, batched or not, and
convolutions with channels last. The rows of a convolution are pixels, and its k runs over the
window and the channels. If its result has channels first, a is its weights, the columns are the
pixels of a row, and they begin at an index that k moves. Knows no tile and no target.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import tvm_ffi
from tvm import s_tir, sym
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Key


def key(
    rows: Sequence[int | tir.Expr],
    columns: int | tir.Expr,
    depth: Sequence[int | tir.Expr],
    batch: Sequence[int | tir.Expr] = (),
    window: bool = False,
    dtype: str = "float32",
) -> Key:
    """The key of a product.

    The product's kernel and the pass that packs its weights use the same key.

    Parameters
    ----------
    rows, depth, batch : sequence of int or Expr
        Extents of the axes that only the left operand and the result have, of the axes that are
        summed over, and of the axes that both operands and the result have.
    columns : int or Expr
        Extent of the axis that only the right operand and the result have.
    window : bool
        Whether the product is a convolution that sums over more than channels.
    dtype : str
        That of the right operand: tiles that suit one may not suit another.

    Returns
    -------
    Key
        With the extents rows, columns and depth, behind batch if there is a batch.
    """
    many = analysis.volume(batch)
    extents = {
        **({} if many == 1 else {"batch": many}),
        "rows": analysis.volume(rows),
        "columns": analysis.volume([columns]),
        "depth": analysis.volume(depth),
    }
    if many == 1:
        operator = "convolution" if window else "matmul"
    else:
        operator = "grouped_convolution" if window else "batched_matmul"
    return replace(Key.of(operator, **extents), dtype=dtype)


@dataclass(frozen=True)
class Product:
    """A product's block and the positions of its row and column iterators.

    Attributes
    ----------
    block : SBlockRV
    row, column : int
        Positions among the block's spatial iterators.
    batch, free : tuple of int
        Positions of the outer spatial iterators on which b depends, and of the others.
    packed : int or None
        Columns in a panel of b, None if b is a plain matrix.
    rows_larger : bool
        Whether the left operand has more elements than the right one.
    pixels : bool
        Whether the rows are pixels, as of a convolution.
    key : Key
    """

    block: SBlockRV
    row: int
    column: int
    batch: tuple[int, ...]
    free: tuple[int, ...]
    packed: int | None
    rows_larger: bool
    pixels: bool
    key: Key


def _mentions(indices: list[tir.Expr], variable: tir.Var) -> bool:
    found: list[bool] = []

    def see(var: tir.Var) -> None:
        found.append(var.same_as(variable))

    for index in indices:
        tvm_ffi.structural_walk(index, (tir.Var, see))
    return any(found)


def find(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> Product | None:
    """The kernel's only reduction block, if it is a product as described above."""
    reductions = [b for b in blocks if "R" in analysis.kinds(sch, b)]
    if len(reductions) != 1:
        return None
    block = sch.get(reductions[0])
    kinds = analysis.kinds(sch, reductions[0])
    if kinds.lstrip("S").strip("R") or kinds.count("S") < 2 or len(block.reads) != 2:
        return None
    spatial = [v.var for v in block.iter_vars][: kinds.count("S")]
    every = [v.dom.extent for v in block.iter_vars]
    extents, summed = every[: len(spatial)], every[len(spatial) :]
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
    # The row is the innermost dimension that is long enough for a tile, or else the longest.
    sizes = {n: analysis.constant(extents[n]) for n in free}
    long = [n for n, size in sizes.items() if size is None or size >= 4]
    row = long[-1] if long else max(free, key=lambda n: (sizes[n], n))
    elements = [
        math.prod(analysis.constant(n) or 64 for n in access.source.shape) for access in block.reads
    ]
    return Product(
        reductions[0],
        row,
        column,
        batch,
        tuple(n for n in free if n != row),
        packed or None,
        elements[0] > elements[1],
        len(summed) > 1 or len(free) > 2,
        key(
            [extents[n] for n in free],
            extents[column],
            summed,
            [extents[n] for n in batch],
            window=len(summed) > 1,
            dtype=str(block.reads[1].source.dtype),
        ),
    )


def _panels(
    b: list[tir.Expr], column: tir.Var, shape: list[tir.Expr], columns: tir.Expr
) -> int | None:
    """The columns in a panel of b, 0 if b is a matrix with columns last, None if b is neither.

    The columns may begin at an index that is summed over, as the pixels that a window sees do.
    """
    *others, last = b
    along = [n for n, index in enumerate(others) if _mentions([index], column)]
    if _begins_somewhere(last, column):
        return None if along else 0
    width, count = analysis.constant(shape[-1]), analysis.constant(columns)
    if width is None or count is None or len(along) != 1:
        return None
    wanted = [panel_of(column, width), within_panel(column, width, count)]
    return width if analysis.same([others[along[0]], last], wanted) else None


def _begins_somewhere(index: tir.Expr, column: tir.Var) -> bool:
    """Whether an index is a column, or a column plus a number that is the same for all columns."""
    if index.same_as(column):
        return True
    moved = _mentions([index], column)
    return moved and not _mentions([sym.Analyzer().simplify(index - column)], column)


def panel_of(column: tir.Expr, width: int) -> tir.Expr:
    """The index of the panel that holds a column, for panels of ``width`` columns."""
    return column // width


def within_panel(column: tir.Expr, width: int, columns: int) -> tir.Expr:
    """A column's index in its panel. The last panel ends with the last column.

    Parameters
    ----------
    column : Expr
        Index of the column in the matrix.
    width : int
        Columns in a panel, at most ``columns``.
    columns : int
        Columns of the matrix. If ``width`` does not divide them, the last two panels overlap.
    """
    if columns % width == 0:
        return column % width
    return column - tir.min(column // width * width, columns - width)
