"""Attention of any length over any number of keys, both of which only the run may know.

A block has as many rows as the largest register tile that the length fills. Only the products know
the number of rows when they are compiled: there is one of each for every such tile, and a branch
chooses. All else is a loop over the rows, so that the kernel stays small. The sums have the same
order in all tiles, so the bits are those of a kernel for these sizes alone.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import replace

from ..tvm_version import tir
from . import rows
from .attention_products import Attention, Place
from .long_rows import RunningSums, block_sizes, whole_rows_fit
from .register_tile import Tile
from .rows import Expr, Row, Stmt


def heights(length: int | Expr, most: int) -> list[int]:
    """The rows of the tiles, from the largest: that of the tile, then all powers of two."""
    smaller = [most, *(1 << n for n in reversed(range((most - 1).bit_length())))]
    known = rows.fixed(length)
    return smaller if known is None else [max(n for n in smaller if n <= max(known, 1))]


def height(length: int | Expr, most: int) -> int | Expr:
    """The rows of a block: the largest of these heights that the length fills."""
    *larger, least = heights(length, most)
    if not larger:
        return least
    chosen = tir.const(least, "int64")
    for n in reversed(larger):
        chosen = tir.Select(length >= n, tir.const(n, "int64"), chosen)
    return chosen


class OpenAttention(Attention):
    """Attention with blocks of several heights. See :class:`Attention`."""

    repeated = 1

    def _by_height(self, body: Callable[[Attention], Stmt]) -> Stmt:
        """A branch for every height, on the attention whose tiles have this height."""
        *larger, least = heights(self.length, self.tiles[0].rows)
        chosen = body(self._of_height(least))
        for n in reversed(larger):
            chosen = tir.IfThenElse(self.height == n, body(self._of_height(n)), chosen)
        return chosen

    def _of_height(self, height: int) -> Attention:
        return self.of_kind(Attention, tiles=tuple(replace(t, rows=height) for t in self.tiles))

    def scores(
        self,
        place: Place,
        keys: int | Expr,
        start: Expr | int,
        transposed: tir.Buffer,
        scores: tir.Buffer,
    ) -> Stmt:
        """The first product.

        Tiles of one vector compute what is left of the keys behind the last whole tile, unless they
        would compute as much as one more tile.
        """
        if rows.fixed(keys) is not None:
            return self._by_height(lambda op: op.scores(place, keys, start, transposed, scores))
        _, vectors, lanes = dataclasses.astuple(self.tiles[0])
        columns = vectors * lanes
        wide = tir.Select(keys >= columns, (keys + lanes - 1) // columns, tir.const(0, "int64"))
        narrow = (tir.max(keys - wide * columns, tir.const(0, "int64")) + lanes - 1) // lanes
        (count_wide, wide), (count_narrow, narrow) = rows.once(wide), rows.once(narrow)

        def both(op: Attention) -> Stmt:
            def run(tile: Tile, count: Expr, before: Expr | int) -> Stmt:
                def one(t: Expr) -> Stmt:
                    last = tir.min(before + t * tile.columns, keys - tile.columns)
                    known, first = rows.once(tir.max(last, tir.const(0, "int64")))
                    made = op.scores_tile(tile, place, first, start, transposed, scores)
                    return rows.sequence(*known, made)

                return rows.loop(count, one)

            whole, part = op.tiles[0], replace(op.tiles[0], vectors=1)
            return rows.sequence(run(whole, wide, 0), run(part, narrow, wide * columns))

        return rows.sequence(*count_wide, *count_narrow, self._by_height(both))

    def values(
        self,
        place: Place,
        keys: int | Expr,
        start: Expr | int,
        weights: tir.Buffer,
        store: Callable[[int, Expr, Expr], Stmt],
        before: Callable[[int, Expr], Expr] | None = None,
        after_first: bool | Expr = True,
    ) -> Stmt:
        """The second product."""
        tiles = self._by_height(
            lambda op: op.value_tiles(place, keys, start, weights, store, before, after_first)
        )
        return rows.sequence(*self.rounded_weights(keys, weights), tiles)


def open_rows(
    op: Attention, transposed: tir.Buffer, scores: tir.Buffer
) -> tuple[list[Stmt], Callable[[Place], Stmt]]:
    """Blocks of rows over any number of keys: what is done before them, and one block.

    Rows that are whole are one block of keys, so that both products exist only once.
    """
    fit, sizes = whole_rows_fit(op.keys), [rows.once(n) for n in block_sizes(op.keys)]
    fit = tir.const(fit, "bool") if isinstance(fit, bool) else fit
    sums = RunningSums.of(op)

    def block(place: Place) -> Stmt:
        count, size, last = (n + tir.const(0, "int64") for _, n in sizes)
        begun: list[Stmt] = []
        if op.visible is not None:  # the blocks of keys up to the last that a row sees
            begun, seen = op.visible.of_rows(place[2], op.positions)
            fewer, count = rows.once(rows.least(count, (seen + size - 1) // size))
            ended, last = rows.once(seen - (count - 1) * size)
            begun += [*fewer, *ended]

        def keys(n: Expr) -> Stmt:
            known, here = rows.once(tir.Select(n < count - 1, size, last))
            placed, start = rows.once(n * size)

            def part(r: Expr) -> list[Stmt]:
                row = Row(here, rows.LANES, ends_in_tail=True)
                known, value = op.logits(place, r, start, scores)
                added = sums.add(op, row, r, value, scores)
                return [*known, *added, *op.rounded_part(row, r, scores)]

            def store(r: int, e: Expr, s: Expr) -> Stmt:
                return tir.IfThenElse(fit, op.write(place, r, e, s), sums.store(n, r, e, s))

            length = op.keys if op.visible is None else here
            in_rows = rows.by_length(
                length, lambda row: op.each_row(lambda r: op.weights(place, row, r, scores)), True
            )
            return rows.sequence(
                *known,
                *placed,
                op.scores(place, here, start, transposed, scores),
                tir.IfThenElse(fit, in_rows, op.each_row(part)),
                op.values(
                    place, here, start, scores, store, lambda r, e: sums.before(n, r, e), n > 0
                ),
            )

        return rows.sequence(
            *begun,
            tir.IfThenElse(fit, tir.Evaluate(0), sums.begin(op)),
            rows.loop(count, keys),
            tir.IfThenElse(fit, tir.Evaluate(0), sums.write(op, place, count)),
        )

    return [*(step for steps, _ in sizes for step in steps), *sums.allocated()], block
