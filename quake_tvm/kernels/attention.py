"""softmax(q k^T) v as one kernel that never writes the matrix of scores.

The kernel computes a few rows of scores at a time: enough to fill the register tile of a product,
and so few that they stay in the first-level cache while softmax and the second product use them.
Rows of up to ``MOST_KEYS`` keys are complete when softmax reads them, and every sum has the order
of the separate kernels. Longer rows are processed in blocks of keys with a running maximum.
Whenever the maximum rises, the sums so far are rescaled, by an exponential of the highest rung, so
that the blocks do not add to the error.

Source of the idea: FlashAttention (arXiv 2205.14135), for caches instead of shared memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tvm import te

from ..numerics import exp_bits
from ..numerics.exp_bits import constant
from ..numerics.ladder import LADDER
from ..tvm_version import alloc, fma, tir
from . import rows
from .compute import logits, softmax_row
from .register_tile import SQUARE, Tile, over_tiles, transpose, vector_at
from .rows import Expr, Row, Stmt

# The most keys of a block: the scores of eight rows leave room in the first-level cache. The number
# does not depend on the tile, so that all targets sum in the same order.
MOST_KEYS = 1 << 10
HIGHEST = LADDER["quake5"]


@dataclass(frozen=True)
class Operand:
    """The position of an element (batch, head, position, feature) in a tensor.

    Attributes
    ----------
    axes : tuple of int
        Axis k of these four is axis ``axes[k]`` of the tensor.
    """

    axes: tuple[int, ...] = (0, 1, 2, 3)

    def at(self, *place: Expr) -> tuple[Expr, ...]:
        """The tensor's indices of an element (batch, head, position, feature)."""
        index: list[Expr] = [None] * len(place)
        for axis, value in zip(self.axes, place, strict=True):
            index[axis] = value
        return tuple(index)

    def sizes(self, shape: Sequence[int | Expr]) -> list[int]:
        """The four extents (batch, head, position, feature) of a tensor of this shape."""
        return [int(shape[axis]) for axis in self.axes]


def operands(axes: Sequence[int]) -> tuple[Operand, Operand, Operand, Operand]:
    """The operands q, k, v and output from a flat list of 16 axes."""
    q, k, v, output = (Operand(tuple(axes[n : n + 4])) for n in range(0, 16, 4))
    return q, k, v, output


@dataclass(frozen=True)
class _Operation:
    """Sizes, formulas and buffers that every part of the kernel needs."""

    operands: tuple[Operand, Operand, Operand, Operand]
    tiles: tuple[Tile, Tile]
    depth: int
    keys: int
    width: int
    scale: float
    exp: Callable[[Expr], Expr]
    rescale: Callable[[Expr], Expr]
    q: tir.Buffer
    k: tir.Buffer
    v: tir.Buffer
    masks: list[tir.Buffer]
    out: tir.Buffer

    def keys_first(self, b: Expr, h: Expr, transposed: tir.Buffer) -> Stmt:
        """Write k of one head, transposed to (feature, key)."""
        of_k = self.operands[1]

        def square(j: Expr, d: Expr) -> Stmt:
            def line(r: int) -> Expr:
                return tir.BufferLoad(self.k, list(of_k.at(b, h, j + r, vector_at(d))))

            return transpose(
                line, lambda c, column: tir.BufferStore(transposed, column, [d + c, vector_at(j)])
            )

        return over_tiles(
            self.keys, SQUARE, lambda j: over_tiles(self.depth, SQUARE, lambda d: square(j, d))
        )

    def scores(
        self,
        place: tuple[Expr, Expr, Expr],
        keys: int,
        start: Expr | int,
        transposed: tir.Buffer,
        scores: tir.Buffer,
    ) -> Stmt:
        """The first product for a block of rows, and for ``keys`` keys starting at ``start``."""
        b, h, i = place
        tile = self.tiles[0]
        return over_tiles(
            keys,
            tile.columns,
            lambda first: tile.product(
                self.depth,
                lambda r, d: self.q[self.operands[0].at(b, h, i + r, d)],
                lambda d, j: transposed[d, start + first + j],
                lambda r, j, s: tir.BufferStore(scores, s, [r, first + j]),
            ),
        )

    def values(
        self,
        place: tuple[Expr, Expr, Expr],
        keys: int,
        start: Expr | int,
        weights: tir.Buffer,
        store: Callable[[int, Expr, Expr], Stmt],
        before: Callable[[int, Expr], Expr] = lambda r, e: constant(0),
    ) -> Stmt:
        """The second product for a block of rows. ``before`` gives the sums' initial values."""
        b, h, _ = place
        tile = self.tiles[1]
        return over_tiles(
            self.width,
            tile.columns,
            lambda first: tile.product(
                keys,
                lambda r, j: weights[r, j],
                lambda j, e: self.v[self.operands[2].at(b, h, start + j, first + e)],
                lambda r, e, s: store(r, first + e, s),
                lambda r, e: before(r, first + e),
            ),
        )

    def logits(
        self, place: tuple[Expr, Expr, Expr], r: int, start: Expr | int, scores: tir.Buffer
    ) -> Callable[[Expr], Expr]:
        """The scaled and masked scores of row ``r`` of the block."""
        b, h, i = place
        return logits([scores, *self.masks], self.scale, (r,), (b, h, i + r), start)

    def write(self, place: tuple[Expr, Expr, Expr], r: int, e: Expr, value: Expr) -> Stmt:
        """Store one element of the result."""
        b, h, i = place
        return tir.BufferStore(self.out, value, list(self.operands[3].at(b, h, i + r, e)))


def _whole_rows(op: _Operation, place: tuple, transposed: tir.Buffer, scores: tir.Buffer) -> Stmt:
    """A block of rows whose scores fit into the first-level cache."""
    softmaxes = [
        softmax_row(
            Row(op.keys, rows.LANES),
            op.logits(place, r, 0, scores),
            op.exp,
            scores,
            (tir.const(r, "int64"),),
        )
        for r in range(op.tiles[0].rows)
    ]
    return rows.sequence(
        op.scores(place, op.keys, 0, transposed, scores),
        *(step for row in softmaxes for step in row),
        op.values(place, op.keys, 0, scores, lambda r, e, s: op.write(place, r, e, s)),
    )


def block_sizes(keys: int) -> tuple[int, int]:
    """The number of keys of a block, and of the last block.

    The last block may have fewer keys, but enough for a tile.
    """
    if whole_rows_fit(keys):
        return keys, keys
    blocks = -(-keys // MOST_KEYS)
    size = -(-keys // blocks // rows.LANES) * rows.LANES
    return size, keys - (-(-keys // size) - 1) * size


def _long_rows(op: _Operation, place: tuple, transposed: tir.Buffer, scores: tir.Buffer) -> Stmt:
    """A block of rows, processed in blocks of keys with a running maximum."""
    height = op.tiles[0].rows
    top, total, factor = (rows.local(height) for _ in range(3))
    result = tir.decl_buffer((height, op.width), "float32", "result")
    block, rest = block_sizes(op.keys)
    count = -(-op.keys // block)
    lowest = constant(-math.inf)

    def keys(start: Expr | int, n: int) -> Stmt:
        steps = [op.scores(place, n, start, transposed, scores)]
        for r in range(height):
            value = op.logits(place, r, start, scores)
            steps += _running_row(op, Row(n, rows.LANES), r, value, (top, total, factor), scores)
        more = op.values(
            place,
            n,
            start,
            scores,
            lambda r, e, s: tir.BufferStore(result, s, [r, e]),
            lambda r, e: result[r, e] * factor[r],
        )
        return rows.sequence(*steps, more)

    def each(body: Callable[[int, Expr], Stmt]) -> list[Stmt]:
        return [Row(op.width, rows.LANES).each(partial(body, r)) for r in range(height)]

    empty = [
        store
        for r in range(height)
        for store in (tir.BufferStore(top, lowest, [r]), tir.BufferStore(total, constant(0), [r]))
    ]
    return rows.sequence(
        *map(alloc, (top, total, factor, result)),
        *empty,
        *each(lambda r, e: tir.BufferStore(result, constant(0), [r, e])),
        rows.loop(count - 1, lambda n: keys(n * block, block), most=1),
        keys((count - 1) * block, rest),
        *(tir.BufferStore(total, constant(1) / total[r], [r]) for r in range(height)),
        *each(lambda r, e: op.write(place, r, e, result[r, e] * total[r])),
    )


def _running_row(
    op: _Operation,
    row: Row,
    r: int,
    value: Callable[[Expr], Expr],
    state: tuple[tir.Buffer, tir.Buffer, tir.Buffer],
    scores: tir.Buffer,
) -> list[Stmt]:
    """Replace one row's block of scores by exponentials; update maximum, sum and factor."""
    top, total, factor = state
    steps, highest = rows.maximum(row, value)
    keep_risen, risen = rows.store_scalar(tir.max(top[r], highest))
    # If all elements so far are masked, the maximum is -inf and must not be subtracted.
    keep, above = rows.store_scalar(tir.Select(risen == constant(-math.inf), constant(0), risen))
    last, lanes = rows.local(row.lanes), rows.local(row.lanes)

    def add(lane: Expr, element: Expr) -> Stmt:
        return tir.BufferStore(lanes, lanes[lane] + element, [lane])

    def chunk(c: Expr) -> Stmt:
        at = c * row.lanes
        return rows.sequence(
            row.vector(
                lambda n: tir.BufferStore(scores, op.exp(value(at + n) - above), [r, at + n])
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
        *row.tail(lambda i, n: tir.BufferStore(last, op.exp(value(i) - above), [n])),
        rows.loop(row.chunks, chunk),
        *row.tail(lambda i, n: add(n, tir.Select(row.new_in_tail(n), last[n], constant(0)))),
        *row.tail(lambda i, n: tir.BufferStore(scores, last[n], [r, i])),
        *sums,
        tir.BufferStore(factor, op.rescale(top[r] - above), [r]),
        tir.BufferStore(total, fma(total[r], factor[r], whole), [r]),
        tir.BufferStore(top, risen, [r]),
    ]


def attention(
    q: te.Tensor,
    k: te.Tensor,
    v: te.Tensor,
    mask: te.Tensor | None = None,
    *,
    operands: tuple[Operand, Operand, Operand, Operand],
    tiles: tuple[Tile, Tile],
    method: str,
    ieee: bool = True,
    scale: float = 1.0,
) -> te.Tensor:
    """softmax(scale * q k^T + mask) v; all shapes static, all dtypes float32.

    Parameters
    ----------
    q, k, v : te.Tensor
        (batch, head, position, feature), in the axis order of their operands. The features of k and
        v are the innermost axis.
    mask : te.Tensor, optional
        Broadcast to (batch, head, row, key).
    operands : four Operand
        The axes of q, k, v and the output.
    tiles : two Tile
        The register tiles of the two products, with equal rows. If rows of scores are long
        (:func:`whole_rows_fit` is false), the width of v must be a multiple of the second tile's
        columns.
    method, ieee, scale
        As for :func:`compute.softmax`.

    Returns
    -------
    te.Tensor
        float32, in the axis order of the fourth operand.
    """
    of_q, of_k, of_v, of_out = operands
    batch, heads, length, depth = of_q.sizes(q.shape)
    keys, width = of_k.sizes(k.shape)[2], of_v.sizes(v.shape)[3]
    fold = scale if mask is None else 1.0

    def body(inputs: list[tir.Buffer], out: tir.Buffer) -> Stmt:
        q, k, v, *masks = inputs
        op = _Operation(
            operands, tiles, depth, keys, width, scale,
            lambda t: exp_bits.softmax_exp(t, LADDER[method], ieee, scale=fold),
            lambda t: exp_bits.exp(t, HIGHEST, ieee, scale=fold, high=0),
            q, k, v, masks, out,
        )  # fmt: skip

        def head(n: Expr) -> Stmt:
            b, h = n // heads, n % heads
            transposed = tir.decl_buffer((depth, keys), "float32", "keys_first")
            scores = tir.decl_buffer((tiles[0].rows, block_sizes(keys)[0]), "float32", "scores")
            block = _whole_rows if whole_rows_fit(keys) else _long_rows
            return rows.sequence(
                alloc(transposed),
                alloc(scores),
                op.keys_first(b, h, transposed),
                over_tiles(
                    length, tiles[0].rows, lambda i: block(op, (b, h, i), transposed, scores)
                ),
            )

        return rows.loop(batch * heads, head, tir.ForKind.PARALLEL)

    return te.extern(
        [of_out.at(batch, heads, length, width)],
        [q, k, v] if mask is None else [q, k, v, mask],
        lambda ins, outs: body(list(ins), outs[0]),
        name="quake_attention",
        dtype="float32",
    )


def whole_rows_fit(keys: int) -> bool:
    """Whether a block of complete rows of scores fits into the first-level cache."""
    return keys <= MOST_KEYS
