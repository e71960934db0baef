"""Loops along rows, as statements: the parts of softmax, its relatives and the norms.

A row is processed in chunks of sixteen floats, on every target. Element i belongs to virtual lane i
mod 16 of an accumulator. At the end the lanes are halved until one is left. If the row's length is
no multiple of sixteen, one more chunk ends at the end of the row and counts only the elements that
no chunk before it contains. So every load and store is a whole vector, nothing is padded, and the
bits depend neither on the vector width nor on the number of threads. Shorter rows have chunks of
the largest power of two that fits.

These are statements, not tensor expressions: a schedule cannot say "read the last chunk again".
Knows no target, no graph and no approximation; the caller brings the formulas.
"""

import math
from collections.abc import Callable

from ..numerics.exp_bits import constant, let
from ..tvm_version import Expr, Stmt, alloc, dtype_of, fma, tir

LANES = 16
# The number of accumulators of a maximum, where the order does not matter, and of the norms' sums.
WIDE = 4
# Loops of up to this many steps are unrolled; a row of so many chunks stays in registers.
SHORT = 16

Value = Callable[[Expr], Expr]


def sequence(*statements: Stmt) -> Stmt:
    """Concatenate statements into one SeqStmt, flattening nested ones. None do nothing."""
    flat: list[Stmt] = []
    for each in statements:
        flat.extend(each.seq if isinstance(each, tir.SeqStmt) else [each])
    if not flat:
        return tir.Evaluate(0)
    return tir.SeqStmt(flat) if len(flat) > 1 else flat[0]


def local(size: int, dtype: str = "float32") -> tir.Buffer:
    """A buffer on the stack, which the compiler keeps in registers; :func:`alloc` allocates it."""
    return tir.decl_buffer((size,), dtype, "on_stack", scope="global")


def fixed(value: int | Expr) -> int | None:
    """The value of a constant, or None if it is known only at run time."""
    return int(value) if isinstance(value, int | tir.IntImm) else None


def least(a: int | Expr, b: int | Expr) -> int | Expr:
    """The smaller of two sizes, as a number if both are known."""
    x, y = fixed(a), fixed(b)
    return tir.min(a, b) if x is None or y is None else min(x, y)


def greatest(a: int | Expr, b: int | Expr) -> int | Expr:
    """The larger of two sizes, as a number if both are known."""
    x, y = fixed(a), fixed(b)
    return tir.max(a, b) if x is None or y is None else max(x, y)


def loop(
    count: int | Expr,
    body: Callable[[Expr], Stmt],
    kind: int = tir.ForKind.SERIAL,
    most: int = SHORT,
) -> Stmt:
    """``for i in range(count)``, unrolled if it is serial and has at most ``most`` steps.

    Parameters
    ----------
    count : int or PrimExpr
    body : callable
        Loop variable to statement.
    kind : int
        A ``tir.ForKind``.
    most : int
        The most steps of a serial loop that is unrolled. A loop of one step never stays a loop.
    """
    dtype = dtype_of(count) if isinstance(count, Expr) else "int64"
    known = fixed(count)
    if known == 0:  # TVM simplifies also what never runs: there a size that is 0 may be a divisor
        return tir.Evaluate(0)
    if (kind == tir.ForKind.SERIAL and known is not None and 0 < known <= most) or known == 1:
        return sequence(*(body(tir.const(i, dtype)) for i in range(known)))
    extent = count if isinstance(count, Expr) else tir.const(count, dtype)
    var = tir.Var("lane" if kind == tir.ForKind.VECTORIZED else "i", dtype)
    return tir.For(var, tir.const(0, dtype), extent, kind, body(var))


def by_length(
    length: int | Expr, body: Callable[["Row"], Stmt], ends_in_tail: bool = False
) -> Stmt:
    """The body for rows of this length; for a dynamic length one branch per chunk size.

    ``ends_in_tail`` as in :class:`Row`.
    """
    n = fixed(length)
    if n is not None:
        return body(Row(length, min(LANES, 1 << max(n.bit_length() - 1, 0))))
    one, none = (body(Row(length, 1, chunks=n)) for n in (1, 0))
    chosen, lanes = tir.IfThenElse(length >= 1, one, none), 2
    while lanes <= LANES:
        row = Row(length, lanes, ends_in_tail)
        chosen = tir.IfThenElse(length >= lanes, body(row), chosen)
        lanes *= 2
    return chosen


class Row:
    """A row in chunks of ``lanes`` elements. Its methods build the loops along it.

    With ``ends_in_tail``, the last chunk of a row of unknown length is the tail even if it is
    whole, so that there is always one and no branch for it. A sum with one accumulator for each
    lane has the same order in both cases, a sum with several has not.

    With more than one lane and fewer than sixteen, the row must have at least one chunk and less
    than two, as :func:`by_length` ensures. It needs no loop even if its length is unknown. With
    ``chunks``, it must have as many and less than one more.
    """

    def __init__(
        self,
        length: int | Expr,
        lanes: int,
        ends_in_tail: bool = False,
        chunks: int | None = None,
    ) -> None:
        self.length, self.lanes = length, lanes
        self.ends_in_tail = ends_in_tail and lanes > 1 and fixed(length) is None
        if chunks is None and 1 < lanes < LANES:
            chunks = 1
        if chunks is not None:
            self.chunks, self.rest = chunks, length - chunks * lanes
        elif self.ends_in_tail:
            self.chunks = (length - 1) // lanes
            self.rest = length - self.chunks * lanes
        else:
            self.chunks, self.rest = length // lanes, length % lanes
        known = fixed(self.chunks)
        self.short = known is not None and 0 < known <= SHORT

    def vector(self, body: Callable[[Expr], Stmt], width: int | None = None) -> Stmt:
        """A vectorized loop over all lanes, or over ``width`` of them."""
        return loop(width or self.lanes, body, tir.ForKind.VECTORIZED)

    def tail(self, body: Callable[[Expr, Expr], Stmt]) -> list[Stmt]:
        """``body(element, lane)`` over the chunk that ends with the row, if there is a rest."""
        if fixed(self.rest) == 0 or self.lanes == 1:
            return []
        chunk = self.vector(lambda lane: body(self.length - self.lanes + lane, lane))
        always = self.ends_in_tail or fixed(self.rest) is not None
        return [chunk if always else tir.IfThenElse(self.rest > 0, chunk, None)]

    def new_in_tail(self, lane: Expr) -> Expr:
        """Whether this lane of the tail holds an element that no chunk before it contains."""
        return lane >= self.lanes - self.rest

    def whole(self, body: Callable[[Expr], Stmt], together: int = 1) -> Stmt:
        """Run ``body`` for the elements of all chunks except the tail.

        ``body`` gets vectors of ``together`` chunks, and then of one chunk.
        """
        width, joined = together * self.lanes, self.chunks // together
        steps = []
        if fixed(joined) != 0:
            steps.append(loop(joined, lambda c: self.vector(lambda n: body(c * width + n), width)))
        if together > 1 and fixed(self.chunks % together) != 0:
            start = joined * width
            steps.append(
                loop(
                    self.chunks % together,
                    lambda c: self.vector(lambda n: body(start + c * self.lanes + n)),
                )
            )
        return sequence(*steps)

    def each(self, body: Callable[[Expr], Stmt]) -> Stmt:
        """Run ``body`` for all elements. The tail visits some of them a second time."""
        return sequence(self.whole(body), *self.tail(lambda i, _: body(i)))

    def reduce(
        self,
        value: Value,
        step: Callable[[Expr, Expr], Expr],
        combine: Callable[[Expr, Expr], Expr],
        start: Expr,
        neutral: Expr | None = None,
        wide: int = WIDE,
    ) -> tuple[list[Stmt], Expr]:
        """Reduce the row.

        Parameters
        ----------
        value
            The element at an index.
        step : callable
            (accumulator, element) to accumulator.
        combine : callable
            Two accumulators to one.
        start : Expr
            The initial value of an accumulator.
        neutral : Expr, optional
            An element that does not change an accumulator; None if elements may be counted twice.
        wide : int
            The number of accumulators per lane. Chunks that do not fill all of them go to the
            first.

        Returns
        -------
        list of Stmt, Expr
            The statements that compute the result, and the result.
        """
        lanes, known = self.lanes, fixed(self.chunks)
        if known is not None and known < wide:
            wide = 1  # all chunks are behind the last full block
        into = local(lanes * wide, dtype_of(start))

        def accumulate(offset: int, element: Expr, lane: Expr) -> Stmt:
            at = [offset + lane]
            return tir.BufferStore(into, step(into[offset + lane], element), at)

        def chunk(c: Expr, accumulator: int) -> Stmt:
            return self.vector(
                lambda lane: accumulate(accumulator * lanes, value(c * lanes + lane), lane)
            )

        def unseen(i: Expr, lane: Expr) -> Stmt:
            element = value(i)
            if neutral is not None:
                element = tir.Select(self.new_in_tail(lane), element, neutral)
            return accumulate(0, element, lane)

        def begin(u: int) -> Stmt:
            return self.vector(lambda lane: tir.BufferStore(into, start, [u * lanes + lane]))

        steps = [alloc(into), *map(begin, range(wide))]
        blocks = self.chunks // wide
        if fixed(blocks) != 0:
            steps.append(
                loop(blocks, lambda b: sequence(*(chunk(b * wide + u, u) for u in range(wide))))
            )
        if fixed(self.chunks % wide) != 0:
            steps.append(loop(self.chunks % wide, lambda c: chunk(blocks * wide + c, 0)))
        steps.extend(self.tail(unseen))
        more, total = self.halve(into, lanes * wide, combine)
        return [*steps, *more], total

    def halve(
        self, wide: tir.Buffer, width: int, combine: Callable[[Expr, Expr], Expr]
    ) -> tuple[list[Stmt], Expr]:
        """Combine the halves of an accumulator of ``width`` elements until one value is left."""
        steps = []
        while width > 1:
            width //= 2
            half = local(width, str(wide.dtype))
            steps.append(alloc(half))
            for start in range(0, width, self.lanes):

                def both(
                    lane: Expr,
                    start: int = start,
                    half: tir.Buffer = half,
                    wide: tir.Buffer = wide,
                    width: int = width,
                ) -> Stmt:
                    low = start + lane
                    return tir.BufferStore(half, combine(wide[low], wide[low + width]), [low])

                steps.append(self.vector(both, min(width, self.lanes)))
            wide = half
        return steps, wide[0]


def maximum(r: Row, value: Value) -> tuple[list[Stmt], Expr]:
    """The largest element. Undefined for a row with a NaN."""
    return r.reduce(value, tir.max, tir.max, constant(-math.inf))


def total(r: Row, value: Value, wide: int = 1) -> tuple[list[Stmt], Expr]:
    """The sum of the elements, with ``wide`` accumulators per lane."""
    return r.reduce(value, lambda a, x: a + x, lambda a, b: a + b, constant(0), constant(0), wide)


def squares(r: Row, value: Value) -> tuple[list[Stmt], Expr]:
    """The sum of squares. Each square is added without rounding the product first."""

    def step(a: Expr, x: Expr) -> Expr:
        return let(x, lambda x: fma(x, x, a))

    return r.reduce(value, step, lambda a, b: a + b, constant(0), constant(0))


def store_scalar(value: Expr) -> tuple[list[Stmt], Expr]:
    """Compute one number per row once: the statements that store it, and the stored value."""
    where = local(1, dtype_of(value))
    return [alloc(where), tir.BufferStore(where, value, [0])], where[0]


def once(value: int | Expr) -> tuple[list[Stmt], int | Expr]:
    """Compute an integer of the run once: the statements before its use, and its name.

    TVM puts the value of a variable wherever the variable is used, and would simplify every address
    with all that it is computed from. It does not look behind a number in memory, which LLVM keeps
    in a register.
    """
    known = fixed(value)
    if known is not None:
        return [], known
    where, name = local(1, "int64"), tir.Var("n", "int64")
    return [alloc(where), tir.BufferStore(where, value, [0]), tir.Bind(name, where[0])], name
