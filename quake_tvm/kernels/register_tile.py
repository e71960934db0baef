"""Matrix products in registers and transposes by shuffles, as statements. Knows no operator."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..tvm_version import alloc, tir
from . import rows
from .rows import Expr, Stmt

SQUARE = 16  # rows and columns of the square that :func:`transpose` transposes


@dataclass(frozen=True)
class Tile:
    """A register tile: ``rows`` times ``vectors`` vectors of ``lanes`` elements."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    def within(self, count: int | Expr) -> "Tile":
        """The tile with fewer vectors if it has more columns than ``count``, a known number."""
        known = rows.fixed(count)
        fitting = self.vectors if known is None else known // self.lanes
        return replace(self, vectors=max(1, min(self.vectors, fitting)))

    def product(
        self,
        depth: int | Expr,
        a: Callable[[int, Expr], Expr],
        b: Callable[[Expr, Expr], Expr],
        store: Callable[[int, Expr, Expr], Stmt],
        start: Callable[[int, Expr], Expr] | None = None,
        started: bool | Expr = True,
        add: Callable[[Expr, Expr, Expr], Expr] = lambda s, x, y: s + x * y,
        dtype: str = "float32",
    ) -> Stmt:
        """``store(r, j, start(r, j) + sum over k of a(r, k) * b(k, j))`` for all r and j.

        Parameters
        ----------
        depth : int or PrimExpr
            The number of k.
        a, b : callable
            The elements of the two factors.
        store : callable
            The statement that stores a result.
        start : callable, optional
            The initial value of a sum, 0 by default.
        started : bool or PrimExpr
            Whether the sums have this initial value; if not, it is 0.
        add : callable
            A sum and two factors to the next sum.
        dtype : str
            That of the sums.
        """
        sums = [rows.local(self.columns, dtype) for _ in range(self.rows)]

        def each(body: Callable[[int, Expr], Stmt]) -> Stmt:
            def vector(r: int, first: int) -> Stmt:
                return rows.loop(
                    self.lanes, lambda lane: body(r, first + lane), tir.ForKind.VECTORIZED
                )

            firsts = range(0, self.columns, self.lanes)
            return rows.sequence(*(vector(r, j) for r in range(self.rows) for j in firsts))

        def step(k: Expr) -> Stmt:
            return each(
                lambda r, j: tir.BufferStore(sums[r], add(sums[r][j], a(r, k), b(k, j)), [j])
            )

        def begin(value: Callable[[int, Expr], Expr]) -> Stmt:
            return each(lambda r, j: tir.BufferStore(sums[r], value(r, j), [j]))

        first = begin(lambda r, j: tir.const(0, dtype))
        if start is not None:
            own = begin(start)
            first = own if started is True else tir.IfThenElse(started, own, first)
        return rows.sequence(
            *map(alloc, sums),
            first,
            rows.loop(depth, step, most=1),
            each(lambda r, j: store(r, j, sums[r][j])),
        )


def over_tiles(
    count: int | Expr,
    size: int | Expr,
    body: Callable[[Expr], Stmt],
    share: tuple[int | Expr, int | Expr] = (0, 1),
) -> Stmt:
    """Run ``body`` for the start of every tile. The last tile overlaps the tile before it.

    Parameters
    ----------
    count, size : int or PrimExpr
        The elements to cover, and the elements of a tile. If they do not fill one tile, the only
        tile starts at 0 and ends behind them.
    body : callable
        The start of a tile to its statement.
    share : two int or PrimExpr
        (s, n): only the s-th of n shares of the tiles.
    """
    known = rows.fixed(count), rows.fixed(size)
    tiles = (count + size - 1) // size

    def tile(t: Expr) -> Stmt:
        start = tir.min(t * size, count - size)
        if None not in known and count >= size:
            return body(start)
        steps, start = rows.once(tir.max(start, tir.const(0, "int64")))
        return rows.sequence(*steps, body(start))

    part, of = share
    if rows.fixed(of) == 1:
        return rows.loop(tiles, tile, most=1)
    (begin, first), (end, last) = (rows.once(tiles * s // of) for s in (part, part + 1))
    return rows.sequence(*begin, *end, rows.loop(last - first, lambda t: tile(first + t)))


def vector_at(start: Expr | int) -> Expr:
    """The indices of SQUARE neighbouring elements."""
    start = start if isinstance(start, Expr) else tir.const(start, "int64")
    return tir.Ramp(start, tir.const(1, "int64"), SQUARE)


def transpose(load: Callable[[int], Expr], store: Callable[[list[Expr]], list[Stmt]]) -> Stmt:
    """Transpose a square of vectors: ``store(columns)`` from ``load(r)``.

    Each of the log2(SQUARE) steps swaps the off-diagonal quarters of squares half the size of those
    before.
    """
    lines = [rows.local(SQUARE) for _ in range(SQUARE)]
    steps: list[Stmt] = [alloc(line) for line in lines]
    lane = vector_at(0)
    steps += [tir.BufferStore(line, load(r), [lane]) for r, line in enumerate(lines)]
    size = SQUARE // 2
    while size:
        swapped = [rows.local(SQUARE) for _ in range(SQUARE)]
        steps += [alloc(line) for line in swapped]
        for r in range(SQUARE):
            upper, lower = (tir.BufferLoad(lines[n], [lane]) for n in (r & ~size, r | size))
            own = 0 if r & size == 0 else size
            # The shuffle numbers the lanes of the upper line from 0, those of the lower line from
            # SQUARE.
            pick = [(n & ~size) + own + (SQUARE if n & size else 0) for n in range(SQUARE)]
            shuffled = tir.Shuffle([upper, lower], [tir.const(n, "int64") for n in pick])
            steps.append(tir.BufferStore(swapped[r], shuffled, [lane]))
        lines, size = swapped, size // 2
    return rows.sequence(*steps, *store([tir.BufferLoad(line, [lane]) for line in lines]))
