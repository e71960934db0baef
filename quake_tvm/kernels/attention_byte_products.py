"""Tiles of attention's two products of bytes. Knows how sums are scaled, not how bytes are made."""

from collections.abc import Callable

from ..numerics.exp_bits import constant
from ..tvm_version import alloc, tir
from . import rows
from .attention_bytes import HALF, Bytes
from .register_tile import Tile
from .rows import Expr, Stmt

Store = Callable[[int, Expr, Expr], Stmt]


def byte_scores(
    of: Bytes, tile: Tile, key_at: Callable[[Expr, Expr], list[Expr]], first: Expr, store: Store
) -> Stmt:
    """A tile of the first product, from the key ``first``.

    Parameters
    ----------
    of : Bytes
    tile : Tile
    key_at : callable
        The indices of (group, key) in the transposed keys.
    first : Expr
    store : callable
        (row, column of the tile, score) to the statement that stores a score.
    """
    starts = of.starts
    return tile.product(
        of.steps,
        of.query,
        lambda g, j: of.keys[tuple(key_at(g, first + j))],
        lambda r, j, s: store(r, j, of.score(r, first + j, s)),
        None if starts is None else lambda _, j: starts[first + j],
        add=of.form.dot,
        dtype="int32",
    )


def byte_values(
    of: Bytes,
    tile: Tile,
    keys: int | Expr,
    start: Expr | int,
    first: Expr,
    store: Store,
    before: Callable[[int, Expr], Expr] | None,
    after_first: bool | Expr,
) -> Stmt:
    """A tile of the second product, from the feature ``first``.

    The high halves are multiplied first. Their sums count 2^HALF times.

    Parameters
    ----------
    of : Bytes
    tile : Tile
    keys, start : int or Expr
        The number of keys of this block, and the first one. Blocks start with whole groups.
    first : Expr
    store : callable
        (row, column of the tile, result) to the statement that stores a result.
    before : callable, optional
        (row, column) to the result of the blocks before.
    after_first : bool or Expr
        Whether there are such.
    """
    high = tir.decl_buffer((tile.rows, tile.columns), "int32", "high")

    def finish(r: int, e: Expr, s: Expr) -> Stmt:
        value = of.result(r, first + e, s)
        if before is not None:
            own = before(r, e)
            own = own if after_first is True else tir.Select(after_first, own, constant(0))
            value = own + value
        return store(r, e, value)

    def multiplied(half: int, store: Store, begins: bool = False) -> Stmt:
        return tile.product(
            of.groups(keys),
            lambda r, g: of.weight(half, r, g),
            lambda g, e: of.value(start // of.form.group + g, first + e),
            store,
            (lambda r, e: high[r, e] << tir.const(HALF, "int32")) if begins else None,
            add=of.form.dot,
            dtype="int32",
        )

    if len(of.weights) == 1:
        return multiplied(0, finish)
    keep = multiplied(0, lambda r, e, s: tir.BufferStore(high, s, [r, e]))
    return rows.sequence(alloc(high), keep, multiplied(1, finish, begins=True))
