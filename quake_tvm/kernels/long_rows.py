"""Attention over rows of scores that do not fit into the first-level cache.

Such rows are processed in blocks of keys with a running maximum. Whenever the maximum rises, the
sums so far are rescaled, by an exponential of the highest rung, so that the blocks do not add to
the error.

Source of the idea: FlashAttention (arXiv 2205.14135), for caches instead of shared memory.
"""

import math
from collections.abc import Callable

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
    blocks = (keys + MOST_KEYS - 1) // MOST_KEYS
    size = ((keys + blocks - 1) // blocks + rows.LANES - 1) // rows.LANES * rows.LANES
    count = (keys - rows.LANES) // size + 1
    return count, size, keys - (count - 1) * size


def long_rows(op: Attention, place: Place, transposed: tir.Buffer, scores: tir.Buffer) -> Stmt:
    """A block of rows, processed in blocks of keys with a running maximum."""
    tall, columns = op.tiles[1].rows, op.tiles[1].columns
    top, total, factor = (rows.local(tall) for _ in range(3))
    # If tiles overlap, the sums after a block and those before it must not share memory.
    turns = 1 if op.width % columns == 0 else 2
    result = tir.decl_buffer((turns, tall, op.width), "float32", "result")
    sizes = [rows.once(n) for n in block_sizes(op.keys)]
    count, size, last = (n for _, n in sizes)
    lowest = constant(-math.inf)
    whole = divisor if op.empty is not None else lambda total: total

    def keys(n: Expr | int, here: int | Expr) -> Stmt:
        (known, here), (placed, start) = rows.once(here), rows.once(n * size)
        steps = op.each_row(
            lambda r: _running_row(
                op,
                Row(here, rows.LANES, ends_in_tail=True),
                r,
                op.logits(place, r, start, scores),
                (top, total, factor),
                scores,
            )
        )
        more = op.values(
            place,
            here,
            start,
            scores,
            lambda r, e, s: tir.BufferStore(result, s, [(n + 1) % turns, r, e]),
            lambda r, e: result[n % turns, r, e] * factor[r],
        )
        scored = op.scores(place, here, start, transposed, scores)
        return rows.sequence(*known, *placed, scored, steps, more)

    def each(body: Callable[[Expr, Expr], Stmt]) -> Stmt:
        return op.each_row(
            lambda r: [rows.by_length(op.width, lambda row: row.each(lambda e: body(r, e)))]
        )

    def empty(r: Expr) -> list[Stmt]:
        return [tir.BufferStore(top, lowest, [r]), tir.BufferStore(total, constant(0), [r])]

    if rows.fixed(count) is None:
        blocks = [rows.loop(count, lambda n: keys(n, tir.Select(n < count - 1, size, last)))]
    else:
        blocks = [rows.loop(count - 1, lambda n: keys(n, size), most=1), keys(count - 1, last)]
    return rows.sequence(
        *(step for steps, _ in sizes for step in steps),
        *map(alloc, (top, total, factor, result)),
        op.each_row(empty),
        each(lambda r, e: tir.BufferStore(result, constant(0), [0, r, e])),
        *blocks,
        op.each_row(lambda r: [tir.BufferStore(total, constant(1) / whole(total[r]), [r])]),
        each(lambda r, e: op.write(place, r, e, result[count % turns, r, e] * total[r])),
    )


def _running_row(
    op: Attention,
    row: Row,
    r: int | Expr,
    value: Callable[[Expr], Expr],
    state: tuple[tir.Buffer, tir.Buffer, tir.Buffer],
    scores: tir.Buffer,
) -> list[Stmt]:
    """Replace one row's block of scores by exponentials; update maximum, sum and factor."""
    top, total, factor = state
    steps, highest = rows.maximum(row, value)
    keep_risen, risen = rows.store_scalar(tir.max(top[r], highest))
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
        tir.BufferStore(factor, op.rescale(top[r] - shift), [r]),
        tir.BufferStore(total, fma(total[r], factor[r], whole), [r]),
        tir.BufferStore(top, risen, [r]),
    ]
