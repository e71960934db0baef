"""Attention over rows of scores that do not fit into the first-level cache.

Such rows are processed in blocks of keys with a running maximum. Whenever the maximum rises, the
sums so far are rescaled, by an exponential of the highest rung, so that the blocks do not add to
the error.

Source of the idea: FlashAttention (arXiv 2205.14135), for caches instead of shared memory.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..numerics.exp_bits import constant
from ..tvm_version import alloc, fma, tir
from . import rows
from .attention_products import Attention, Place
from .compute import above, divisor
from .rows import Expr, Row, Stmt

# The most keys of a block: the scores of eight rows leave room in the first-level cache. The number
# does not depend on the tile, so that all targets sum in the same order.
MOST_KEYS = 1 << 10


def whole_rows_fit(keys: int | Expr) -> bool | Expr:
    """Whether a block of complete rows of scores fits into the first-level cache."""
    return keys <= MOST_KEYS


def block_sizes(keys: int | Expr) -> tuple[int | Expr, int | Expr, int | Expr]:
    """The blocks of a long row: their number, the keys of each, and the keys of the last one.

    The last block may have fewer keys than the others, but enough for a chunk of softmax. If fewer
    keys were left, they are in the block before.
    """
    blocks = rows.greatest((keys + MOST_KEYS - 1) // MOST_KEYS, 1)
    size = ((keys + blocks - 1) // blocks + rows.LANES - 1) // rows.LANES * rows.LANES
    size = rows.greatest(size, rows.LANES)
    count = rows.greatest((keys - rows.LANES) // size + 1, 1)
    return count, size, keys - (count - 1) * size


@dataclass(frozen=True)
class RunningSums:
    """The state of a block of rows between blocks of keys.

    Attributes
    ----------
    top, total, factor : Buffer
        Of each row: the maximum, the sum of the exponentials, and what rescales the sums so far.
    result : Buffer
        (turn, row, feature): the sums of the second product. If tiles overlap, the sums after a
        block and those before it must not share memory, so they take turns.
    """

    top: tir.Buffer
    total: tir.Buffer
    factor: tir.Buffer
    result: tir.Buffer

    @classmethod
    def of(cls, op: Attention) -> "RunningSums":
        tall, columns = op.tiles[1].rows, op.tiles[1].columns
        turns = 1 if op.width % columns == 0 else 2
        result = tir.decl_buffer((turns, tall, op.width), "float32", "result")
        return cls(rows.local(tall), rows.local(tall), rows.local(tall), result)

    def allocated(self) -> list[Stmt]:
        return [alloc(b) for b in (self.top, self.total, self.factor, self.result)]

    def begin(self, op: Attention) -> Stmt:
        """No key has been seen."""

        def empty(r: Expr) -> list[Stmt]:
            lowest, zero = constant(-math.inf), constant(0)
            return [tir.BufferStore(self.top, lowest, [r]), tir.BufferStore(self.total, zero, [r])]

        return op.each_row(empty)

    def before(self, n: Expr, r: int, e: Expr) -> Expr:
        """A sum of the second product in front of block ``n``, which is not the first."""
        return self.result[self._turn(n), r, e] * self.factor[r]

    def store(self, n: Expr, r: int, e: Expr, value: Expr) -> Stmt:
        """Keep a sum of the second product behind block ``n``."""
        return tir.BufferStore(self.result, value, [self._turn(n + 1), r, e])

    def _turn(self, n: Expr) -> Expr:
        return n % int(self.result.shape[0])

    def write(self, op: Attention, place: Place, count: int | Expr) -> Stmt:
        """Write the result of all ``count`` blocks."""
        whole = divisor if op.empty is not None else lambda total: total

        def scaled(r: Expr, e: Expr) -> Stmt:
            value = self.result[self._turn(count), r, e] * self.total[r]
            return op.write(place, r, e, value)

        def row(r: Expr) -> list[Stmt]:
            inverse = tir.BufferStore(self.total, constant(1) / whole(self.total[r]), [r])
            each = rows.by_length(op.width, lambda row: row.each(lambda e: scaled(r, e)))
            return [inverse, each]

        return op.each_row(row)

    def add(
        self,
        op: Attention,
        row: Row,
        r: int | Expr,
        value: Callable[[Expr], Expr],
        scores: tir.Buffer,
    ) -> list[Stmt]:
        """Replace one row's block of scores by exponentials; update maximum, sum and factor."""
        steps, highest = rows.maximum(row, value)
        keep_risen, risen = rows.store_scalar(tir.max(self.top[r], highest))
        # If all elements so far are masked, the maximum is -inf and must not be subtracted.
        keep, shift = rows.store_scalar(above(risen))
        last, lanes = rows.local(row.lanes), rows.local(row.lanes)

        def add(lane: Expr, element: Expr) -> Stmt:
            return tir.BufferStore(lanes, lanes[lane] + element, [lane])

        def chunk(c: Expr) -> Stmt:
            at = c * row.lanes
            return rows.sequence(
                row.vector(
                    lambda n: tir.BufferStore(scores, op.exp(value(at + n) - shift), [r, at + n])
                ),
                row.vector(lambda n: add(n, scores[r, at + n])),
            )

        sums, whole = row.halve(lanes, row.lanes, lambda a, b: a + b)
        return [
            *steps,
            *keep_risen,
            *keep,
            alloc(last),
            alloc(lanes),
            row.vector(lambda n: tir.BufferStore(lanes, constant(0), [n])),
            *row.tail(lambda i, n: tir.BufferStore(last, op.exp(value(i) - shift), [n])),
            rows.loop(row.chunks, chunk),
            *row.tail(lambda i, n: add(n, tir.Select(row.new_in_tail(n), last[n], constant(0)))),
            *row.tail(lambda i, n: tir.BufferStore(scores, last[n], [r, i])),
            *sums,
            tir.BufferStore(self.factor, op.rescale(self.top[r] - shift), [r]),
            tir.BufferStore(self.total, fma(self.total[r], self.factor[r], whole), [r]),
            tir.BufferStore(self.top, risen, [r]),
        ]


def long_rows(
    op: Attention, place: Place, transposed: tir.Buffer, scores: tir.Buffer, sums: RunningSums
) -> Stmt:
    """A block of rows, processed in blocks of a known number of keys."""
    count, size, last = block_sizes(op.keys)

    def keys(n: Expr | int, here: int) -> Stmt:
        start, row = n * size, Row(here, rows.LANES)

        def weights(r: Expr) -> list[Stmt]:
            known, value = op.logits(place, r, start, scores)
            added = sums.add(op, row, r, value, scores)
            return [*known, *added, *op.rounded_part(row, r, scores)]

        return rows.sequence(
            op.scores(place, here, start, transposed, scores),
            op.each_row(weights),
            op.values(
                place,
                here,
                start,
                scores,
                lambda r, e, s: sums.store(n, r, e, s),
                lambda r, e: sums.before(n, r, e),
                n > 0,
            ),
        )

    blocks = rows.loop(count - 1, lambda n: keys(n, size), most=1)
    return rows.sequence(
        sums.begin(op), blocks, keys(count - 1, last), sums.write(op, place, count)
    )
