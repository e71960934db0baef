"""softmax(q k^T) v as one kernel that never writes the matrix of scores.

A few rows of scores at a time: enough to fill the register tile of a product, so few that they
stay in the first-level cache while softmax and the second product use them. Every sum has the order
of the separate kernels. Rows are whole when softmax sees them, so no running maximum is needed; the
scores of a block take rows * keys floats.

Source of the idea: FlashAttention (arXiv 2205.14135), for caches instead of shared memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import te

from . import exponential, rows
from .approximation import LADDER
from .compute import logits, softmax_row
from .exponential import constant
from .generation import alloc, tir
from .rows import Expr, Row, Stmt

BLOCK = 16  # K is transposed in squares of this size


@dataclass(frozen=True)
class Operand:
    """Where an element of (batch, head, position, feature) stands in a tensor.

    Attributes
    ----------
    axes : tuple of int
        Axis k of the four is axis ``axes[k]`` of the tensor.
    """

    axes: tuple[int, ...] = (0, 1, 2, 3)

    def at(self, *place: Expr) -> tuple[Expr, ...]:
        """The tensor's indices."""
        index: list[Expr] = [None] * len(place)
        for axis, value in zip(self.axes, place, strict=True):
            index[axis] = value
        return tuple(index)

    def sizes(self, shape: Sequence[int | Expr]) -> list[int]:
        """The four extents of a tensor of this shape."""
        return [int(shape[axis]) for axis in self.axes]


@dataclass(frozen=True)
class Tile:
    """Rows by vectors of lanes in registers."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    def product(
        self,
        depth: int,
        a: Callable[[int, Expr], Expr],
        b: Callable[[Expr, Expr], Expr],
        store: Callable[[int, Expr, Expr], Stmt],
    ) -> Stmt:
        """``store(r, j, sum over k of a(r, k) * b(k, j))`` for the tile's rows r and columns j."""
        sums = [rows.local(self.columns) for _ in range(self.rows)]

        def each(body: Callable[[int, Expr], Stmt]) -> Stmt:
            def vector(r: int, start: int) -> Stmt:
                return rows.loop(
                    self.lanes, lambda lane: body(r, start + lane), tir.ForKind.VECTORIZED
                )

            starts = range(0, self.columns, self.lanes)
            return rows.sequence(*(vector(r, s) for r in range(self.rows) for s in starts))

        def step(k: Expr) -> Stmt:
            return each(lambda r, j: tir.BufferStore(sums[r], sums[r][j] + a(r, k) * b(k, j), [j]))

        return rows.sequence(
            *map(alloc, sums),
            each(lambda r, j: tir.BufferStore(sums[r], constant(0), [j])),
            rows.loop(depth, step, most=1),
            each(lambda r, j: store(r, j, sums[r][j])),
        )


def over_tiles(count: int, size: int, body: Callable[[Expr], Stmt]) -> Stmt:
    """A body for the start of every tile; the last overlaps the one before."""
    return rows.loop(-(-count // size), lambda t: body(tir.min(t * size, count - size)), most=1)


def transpose(load: Callable[[int], Expr], store: Callable[[int, Expr], Stmt]) -> Stmt:
    """A square of BLOCK vectors: ``store(c, column c)`` from ``load(r)``, in log2(BLOCK) steps.

    Each step swaps the off-diagonal quarters of squares half the size of those before.
    """
    lines = [rows.local(BLOCK) for _ in range(BLOCK)]
    steps: list[Stmt] = [alloc(line) for line in lines]
    lane = tir.Ramp(tir.const(0, "int64"), tir.const(1, "int64"), BLOCK)
    steps += [tir.BufferStore(line, load(r), [lane]) for r, line in enumerate(lines)]
    size = BLOCK // 2
    while size:
        swapped = [rows.local(BLOCK) for _ in range(BLOCK)]
        steps += [alloc(line) for line in swapped]
        for r in range(BLOCK):
            upper, lower = (tir.BufferLoad(lines[n], [lane]) for n in (r & ~size, r | size))
            own = 0 if r & size == 0 else size
            # Lanes of the upper line count from 0, those of the lower from BLOCK.
            pick = [(n & ~size) + own + (BLOCK if n & size else 0) for n in range(BLOCK)]
            shuffled = tir.Shuffle([upper, lower], [tir.const(n, "int64") for n in pick])
            steps.append(tir.BufferStore(swapped[r], shuffled, [lane]))
        lines, size = swapped, size // 2
    steps += [store(c, tir.BufferLoad(line, [lane])) for c, line in enumerate(lines)]
    return rows.sequence(*steps)


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
    """softmax(scale * q k^T + mask) v, everything static and float32.

    Parameters
    ----------
    q, k, v : te.Tensor
        (batch, head, position, feature) in the order their operands say.
    mask : te.Tensor, optional
        Broadcast to (batch, head, row, key).
    operands : four Operand
        Of q, k, v and the output.
    tiles : two Tile
        Of the two products, with the same rows.
    method, ieee, scale
        As for softmax.
    """
    of_q, of_k, of_v, of_out = operands
    batch, heads, length, depth = of_q.sizes(q.shape)
    keys, width = of_k.sizes(k.shape)[2], of_v.sizes(v.shape)[3]
    first, second = tiles
    fold = scale if mask is None else 1.0

    def exp(t: Expr) -> Expr:
        return exponential.exp(t, LADDER[method], ieee, scale=fold, high=0)

    def body(inputs: list[tir.Buffer], out: tir.Buffer) -> Stmt:
        q, k, v, *masks = inputs

        def transposed(b: Expr, h: Expr, keys_first: tir.Buffer) -> Stmt:
            def square(j: Expr, d: Expr) -> Stmt:
                return transpose(
                    lambda r: _line(k, of_k.at(b, h, j + r, d), of_k.axes[3]),
                    lambda c, line: tir.BufferStore(
                        keys_first, line, [d + c, tir.Ramp(j, tir.const(1, "int64"), BLOCK)]
                    ),
                )

            return over_tiles(
                keys, BLOCK, lambda j: over_tiles(depth, BLOCK, lambda d: square(j, d))
            )

        def block(b: Expr, h: Expr, i: Expr, keys_first: tir.Buffer, scores: tir.Buffer) -> Stmt:
            products = over_tiles(
                keys,
                first.columns,
                lambda start: first.product(
                    depth,
                    lambda r, d: q[of_q.at(b, h, i + r, d)],
                    lambda d, j: keys_first[d, start + j],
                    lambda r, j, s: tir.BufferStore(scores, s, [r, start + j]),
                ),
            )
            softmaxes = [
                softmax_row(
                    Row(keys, rows.LANES),
                    logits([scores, *masks], scale, (r,), (b, h, i + r)),
                    exp,
                    scores,
                    (tir.const(r, "int64"),),
                )
                for r in range(first.rows)
            ]
            results = over_tiles(
                width,
                second.columns,
                lambda start: second.product(
                    keys,
                    lambda r, j: scores[r, j],
                    lambda j, e: v[of_v.at(b, h, j, start + e)],
                    lambda r, e, s: tir.BufferStore(
                        out, s, list(of_out.at(b, h, i + r, start + e))
                    ),
                ),
            )
            return rows.sequence(products, *(s for row in softmaxes for s in row), results)

        def head(n: Expr) -> Stmt:
            b, h = n // heads, n % heads
            keys_first = tir.decl_buffer((depth, keys), "float32", "keys_first")
            scores = tir.decl_buffer((first.rows, keys), "float32", "scores")
            return rows.sequence(
                alloc(keys_first),
                alloc(scores),
                transposed(b, h, keys_first),
                over_tiles(length, first.rows, lambda i: block(b, h, i, keys_first, scores)),
            )

        return rows.loop(batch * heads, head, tir.ForKind.PARALLEL)

    shape = of_out.at(batch, heads, length, width)
    return te.extern(
        [shape],
        [q, k, v] if mask is None else [q, k, v, mask],
        lambda ins, outs: body(list(ins), outs[0]),
        name="quake_attention",
        dtype="float32",
    )


def _line(buffer: tir.Buffer, at: tuple[Expr, ...], axis: int) -> Expr:
    """A vector of BLOCK floats from an index on, along an axis, which is the buffer's last."""
    index = list(at)
    index[axis] = tir.Ramp(index[axis], tir.const(1, "int64"), BLOCK)
    return tir.BufferLoad(buffer, index)
