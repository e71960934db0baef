"""A kernel that runs a program for every row: how many rows at once, and on how many cores.

Knows no target, no graph and no formula: the caller brings the program of one row.
"""

from collections.abc import Callable, Sequence

from ..tvm_version import Expr, Stmt, dtype_of, nest, replace_variable, tir
from .rows import LANES, Row, by_length, fixed, greatest, loop, sequence

# Two rows of this length, or four of half of it, are computed at once, interleaved.
SIDE_BY_SIDE = 128
# Below this many elements a kernel ends before a second thread has started.
PARALLEL_ELEMENTS = 16384

Program = Callable[[Row, tuple[Expr, ...]], list[Stmt]]


def kernel(
    outer: list[int | Expr],
    length: int | Expr,
    program: Program,
    rows_at_once: int | None = None,
    parallel: int | None = None,
) -> Stmt:
    """Run a program for every row, on all cores if there are enough elements.

    A few short rows are computed at once, with their statements interleaved, because one row alone
    is a chain of latencies: of its maximum, its sum, its quotient. If the number of rows is no
    multiple of ``rows_at_once``, the last rows overlap those before.

    Parameters
    ----------
    outer, length
        The shape: the extents of the rows' indices, and the floats of a row.
    program : callable
        (Row, indices of the row) to the row's statements. They read no row of
        a result but their own, and give the same bits when they run twice.
    rows_at_once : int, optional
        How many rows are computed at once; the kernel must have as many. By default
        :func:`side_by_side`.
    parallel : bool, optional
        Whether to use all cores; by default if the shape has ``PARALLEL_ELEMENTS``.

    Notes
    -----
    For a symbolic shape, the sizes at hand decide both at run time. The row's indices are then
    (0, .., 0, number of the row), which address the same memory without a division;
    :func:`indices` gives the true ones.
    """
    count: int | Expr = 1
    for n in outer:
        count = count * n
    rows, floats = fixed(count), fixed(length)
    static = rows is not None and floats is not None
    if rows == 0:
        return tir.Evaluate(0)

    def at(r: Expr) -> tuple[Expr, ...]:
        if static:
            return indices(outer, r)
        return (*(tir.const(0, dtype_of(r)) for _ in outer[1:]), *([r] if outer else []))

    def blocks(several: int, parallel: int, row: Row) -> Stmt:
        def block(b: Expr) -> Stmt:
            first = b if several == 1 else tir.min(b * several, count - several)
            return interleaved([program(row, at(first + k)) for k in range(several)])

        every = (count + several - 1) // several
        if not parallel or several == 1 or fixed(count % several) == 0:
            kind = tir.ForKind.PARALLEL if parallel else tir.ForKind.SERIAL
            return loop(every, block, kind, most=1)
        # One core computes the last two blocks, which share rows: a program may keep in its result
        # what it has not finished.
        parts = greatest(every - 1, 1)

        def part(p: Expr) -> Stmt:
            blocks = tir.Select(p == parts - 1, every - p, tir.const(1, dtype_of(p)))
            return loop(blocks, lambda b: block(p + b))

        return loop(parts, part, tir.ForKind.PARALLEL, most=1)

    def by_size(several: int, parallel: int) -> Stmt:
        def version(row: Row) -> Stmt:
            if several == 1 or floats is not None:
                return blocks(several, parallel, row)
            if parallel:  # only a thousand rows shorter than a vector are worth threads
                return blocks(several if row.lanes == LANES else 1, parallel, row)
            many = blocks(several, parallel, row)
            if row.lanes < LANES:
                return many
            one_chunk = blocks(several, parallel, Row(length, LANES, chunks=1))
            return tir.IfThenElse(length < 2 * LANES, one_chunk, many)

        return by_length(length, version)

    def either(parallel: int, large: bool = False) -> Stmt:
        """Several rows at once if there are as many and if they are short, else one.

        ``large`` says that the kernel has ``PARALLEL_ELEMENTS``. Then there are many rows if they
        are short.
        """
        several = next(n for n in (4, 2, 1) if rows is None or rows >= n)
        if floats is not None:
            several = side_by_side(several, floats)
        if several == 1:
            return by_size(1, parallel)
        fits = [] if rows is not None or large else [count >= several]
        if floats is None:
            fits.append(length <= SIDE_BY_SIDE)
        many = by_size(several, parallel)
        if not fits:
            return many
        one = blocks(1, parallel, Row(length, LANES)) if large else by_size(1, parallel)
        return tir.IfThenElse(tir.all(*fits), many, one)

    if rows is not None and floats is not None:
        if parallel is None:
            parallel = rows * floats >= PARALLEL_ELEMENTS
        return nest(by_size(rows_at_once or side_by_side(rows, floats), parallel))
    if parallel is not None:
        return nest(either(parallel))
    large = count * length >= PARALLEL_ELEMENTS
    return nest(tir.IfThenElse(large, either(True, large=True), either(False)))


def indices(outer: Sequence[int | Expr], number: Expr) -> tuple[Expr, ...]:
    """The indices of a row with this number, for axes of these extents."""
    at: list[Expr] = []
    for n in reversed(outer):
        at.insert(0, number if len(at) == len(outer) - 1 else number % n)
        number = number // n
    return tuple(at)


def side_by_side(count: int | None, length: int | None) -> int:
    """How many rows to compute at once: as many as fill the registers."""
    if count is None or length is None:
        return 1
    return next((n for n in (4, 2) if count >= n and n * length <= 2 * SIDE_BY_SIDE), 1)


def interleaved(programs: list[list[Stmt]]) -> Stmt:
    """The programs' statements, interleaved. All programs have the same number of statements.

    Loops of unknown length, and branches, become one that holds the statements of all programs.
    """
    flat = [sequence(*program) for program in programs]
    steps = [s.seq if isinstance(s, tir.SeqStmt) else [s] for s in flat]
    return sequence(*(s for together in zip(*steps, strict=True) for s in _together(together)))


def _together(steps: tuple[Stmt, ...]) -> list[Stmt]:
    """One step of each program, as one statement if that is a loop or branch of a symbolic size."""
    first = steps[0]
    if isinstance(first, tir.IfThenElse):
        return [tir.IfThenElse(first.condition, interleaved([[s.then_case] for s in steps]), None)]
    if not isinstance(first, tir.For) or fixed(first.extent) is not None or len(steps) == 1:
        return list(steps)
    bodies = [replace_variable(step.body, step.loop_var, first.loop_var) for step in steps]
    body = interleaved([[body] for body in bodies])
    return [tir.For(first.loop_var, first.min, first.extent, first.kind, body)]
