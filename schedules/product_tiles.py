"""The register tile of a matrix product: its tunable parameters and their defaults.

Knows extents and CPUs, but no kernel.
"""

import math
from dataclasses import dataclass

import tvm

from quake_tvm.numerics import byte_dots

from . import analysis
from .choice import RULE_DEFAULT, Choice, Key
from .choices import choices
from .product import Product

# From this many rows on, it pays to copy a panel of columns into contiguous memory.
PACK_ROWS = 32
# So many multiply-adds take as long as an element of an element-wise kernel.
AN_ELEMENT = 16
# The depth that is assumed of sums whose length only a run knows.
SOME_DEPTH = 128
# Packed weights of up to this many elements stay in the second-level cache. They may be read again
# for each tile of rows, if the number of rows is unknown.
CACHED = 1 << 15
# Options: a tile's width in vectors of columns, its maximum of rows, and the unroll factor of k.
VECTORS, ROWS, UNROLL = (1, 2, 3, 4, 6), (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 4)


@dataclass(frozen=True)
class Plan:
    """A product's tile, and how its loops run. All but ``lanes`` are tunable parameters.

    Attributes
    ----------
    rows, vectors, lanes : int
        The tile: rows times vectors of lanes.
    copied : bool
        Whether a panel of the right operand is copied into contiguous memory.
    by_rows : bool
        Whether the outermost loop goes along rows instead of columns.
    unroll : int
        Unroll factor of the loop over k.
    parallel : int or None
        Which of the outer loops runs on all cores, the outermost being 0.
    """

    rows: int
    vectors: int
    lanes: int
    copied: bool
    by_rows: bool
    unroll: int
    parallel: int | None


def panel(
    rows: int | None,
    columns: int | None,
    target: tvm.target.Target,
    choice: Choice = RULE_DEFAULT,
    dtype: str = "float32",
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
    dtype : str
        That of the right operand.
    """
    options = widths(columns, target)
    own = _vectors(rows, columns, target, dtype)
    return options[choice.pick("vectors", list(options), own)]


def widths(columns: int | None, target: tvm.target.Target) -> dict[int, int]:
    """The possible tile widths: vectors mapped to columns."""
    lanes = _lanes(columns, target)
    if columns is None:
        return {1: lanes}
    return {n: n * lanes for n in VECTORS if n * lanes <= columns}


def height(vectors: int, target: tvm.target.Target) -> int:
    """The most rows of a tile of this width, from the target's table or from its registers."""
    tiles = choices(target).tiles
    return tiles.get(vectors) or max(n * rows for n, rows in tiles.items()) // vectors


def plan(
    found: Product,
    rows: int | None,
    columns: int | None,
    innermost: int | None,
    target: tvm.target.Target,
    choice: Choice,
) -> Plan:
    """Choose the parameters for a result of this many rows and columns.

    Parameters
    ----------
    found : Product
    rows, columns : int or None
        The extents that tiles divide, None if unknown.
    innermost : int or None
        Extent of the last loop over k, None if unknown.
    target : tvm.target.Target
    choice : Choice
        The tunable parameters of the product.
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
        vectors = choice.pick("vectors", options, _vectors(rows, columns, target, "float32"))
    heights = [n for n in ROWS if n * vectors <= choices(target).registers]
    most = choice.pick("rows", heights, height(vectors, target))
    copied = by_rows = False
    if not found.packed and columns is not None:
        copied = bool(choice.pick("copy", (0, 1), int(uses is None or uses >= PACK_ROWS)))
    if not copied:
        by_rows = bool(choice.pick("walk", (0, 1), int(found.rows_larger)))
    unrolled = [n for n in UNROLL if innermost is not None and innermost % n == 0]
    return Plan(
        analysis.balanced(rows, most),
        vectors,
        _lanes(whole if found.packed else columns, target),
        copied,
        by_rows,
        choice.pick("unroll", unrolled, 1),
        0 if analysis.in_parallel(choice, _elements(found.key)) else None,
    )


def work(depth: int | None) -> int:
    """How many elements of an element-wise kernel take as long as a sum of ``depth`` products.

    It is compared with ``PARALLEL_ELEMENTS`` when threads are decided.
    """
    return 1 + (SOME_DEPTH if depth is None else depth) // AN_ELEMENT


def _elements(key: Key) -> int | None:
    """How many elements of an element-wise kernel take as long as the product. None if unknown."""
    results = analysis.volume(key.shape[:-1])
    return None if results is None else results * work(key["depth"])


def _lanes(columns: int | None, target: tvm.target.Target) -> int:
    width = analysis.lanes(target)
    return width if columns is None else min(width, 1 << (columns.bit_length() - 1))


def _vectors(rows: int | None, columns: int | None, target: tvm.target.Target, dtype: str) -> int:
    """The tile width, in vectors, that computes the product at the lowest estimated cost."""
    lanes, options = _lanes(columns, target), widths(columns, target)
    best, found = math.inf, 1
    for vectors, most in choices(target).tiles.items():
        high = analysis.balanced(rows, most)
        if vectors not in options or not _fits(high, vectors, target, dtype):
            continue
        count = (1 / high if rows is None else -(-rows // high)) * -(
            -(columns or 1) // (vectors * lanes)
        )
        cost = count * analysis.tile_cost(high, vectors)
        if cost < best * 0.999:
            best, found = cost, vectors
    return found


def _fits(rows: int, vectors: int, target: tvm.target.Target, dtype: str) -> bool:
    """Whether the sums of a tile, its operands and what it adds stay in registers.

    A multiply-add of floats, and some dot products of bytes, take no register for what they add.
    """
    adds = dtype != "int32" or byte_dots.formats_of(target)[0].adds_groups
    return rows * vectors + vectors + 1 + (not adds) <= choices(target).registers
