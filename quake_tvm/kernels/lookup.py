"""LookupFFN's look-up as one kernel: a row's hash codes and scores, then a sum of table rows.

The bits of a code stand bit by bit, each for all tables, so that neighbouring tables are
neighbouring lanes. The result's columns are accumulated in registers, some columns at a time. Each
column takes the tables in ascending order, so its bits depend neither on how many columns are
computed together nor on the number of threads. Rows of tables lie anywhere in memory: while one is
added, rows further on are prefetched.

Source: LookupFFN (arXiv 2403.07221), section 3.
"""

from collections.abc import Callable
from functools import partial

from tvm import te

from ..numerics import exp_bits
from ..numerics.exp_bits import constant, let, magnitude
from ..numerics.ladder import LADDER
from ..numerics.number_formats import widen
from ..tvm_version import Expr, Stmt, alloc, dtype_of, fma, tir
from . import row_kernel, rows
from .prefetch import LINE, prefetch
from .rows import Row, Value

# Columns that are accumulated at once, and the tables that are prefetched ahead, by default.
COLUMNS, AHEAD = 64, 6
# The dtypes that tables may have.
TABLES = ("float32", "bfloat16", "float16", "int8")


def lookup_ffn(
    *tensors: te.Tensor,
    bits: int,
    method: str | None,
    ieee: bool = True,
    columns: int = COLUMNS,
    ahead: int = AHEAD,
    **plan: int,
) -> te.Tensor:
    """y = bias + sum over tables t of score_t * tables[t, code_t]; the result is float32.

    code_t has a 1 for each positive z_tj, the first bit most significant. score_t = sum_j |z_tj| /
    prod_j (1 + exp(-2 |z_tj|)).

    Parameters
    ----------
    *tensors : te.Tensor
        z, float32 of shape (.., bits * H): z_tj at column j * H + t; the tables (H * 2**bits, D),
        float32, bfloat16, float16 or int8; for int8 the scale of each of their rows, float32 of
        shape (H * 2**bits,); the bias (D,), float32.
    bits : int
        Bits of a code.
    method : str or None
        The rung of the scores' exp; None for the exact one.
    ieee : bool
        Whether NaN and infinities must come out right.
    columns : int
        The most columns that are accumulated at once.
    ahead : int
        How many tables ahead a row is prefetched; 0 for none.
    **plan
        Options of :func:`row_kernel.kernel`.
    """
    z, table, *scales, bias = tensors
    *outer, _ = z.shape
    count, width = int(table.shape[0]) >> bits, int(bias.shape[0])

    def exp(t: Expr) -> Expr:
        if method is None:
            return tir.exp(constant(-2) * t)
        return exp_bits.exp(t, LADDER[method], ieee, scale=-2.0, high=0.0)

    def body(inputs: list[tir.Buffer], out: tir.Buffer) -> Stmt:
        def program(row: Row, at: tuple[Expr, ...]) -> list[Stmt]:
            codes, scores = rows.local(count, "int32"), rows.local(count)
            hashed = _hash(inputs[0], at, bits, codes, scores, exp)
            starts = _chunks(row)
            most = max(columns // row.lanes, 1)
            parts = [starts[n : n + most] for n in range(0, len(starts), most)]
            gathers = [
                _gather(part, row.lanes, codes, scores, inputs[1:], out, at, ahead)
                for part in parts
            ]
            return [alloc(codes), alloc(scores), hashed, *gathers]

        return row_kernel.kernel(outer, width, program, **plan)

    return te.extern(
        [(*outer, width)],
        [z, table, *scales, bias],
        lambda ins, outs: body(list(ins), outs[0]),
        name="quake_lookup_ffn",
        dtype="float32",
    )


def _hash(
    z: tir.Buffer,
    at: tuple[Expr, ...],
    bits: int,
    codes: tir.Buffer,
    scores: tir.Buffer,
    exp: Value,
) -> Stmt:
    """Store each table's row number, and its score."""
    count = int(codes.shape[0])

    def table(t: Expr) -> Stmt:
        code: Expr = tir.Cast("int32", t) * tir.const(1 << bits, "int32")
        total: Expr = constant(0)
        product: Expr = constant(1)
        for j in range(bits):
            value = z[(*at, j * count + t)]
            digit = tir.const(1 << (bits - 1 - j), "int32")
            code = code + tir.Select(value > constant(0), digit, tir.const(0, "int32"))
            size = magnitude(value)
            factor = constant(1) + let(size, exp)
            total = size if j == 0 else total + size
            product = factor if j == 0 else product * factor
        return rows.sequence(
            tir.BufferStore(codes, code, [t]), tir.BufferStore(scores, total / product, [t])
        )

    return rows.by_length(count, lambda row: row.each(table))


def _chunks(row: Row) -> list[int]:
    """Where the row's vectors start; the last one ends with the row."""
    length = int(row.length)
    return [min(n, length - row.lanes) for n in range(0, length, row.lanes)]


def _gather(
    starts: list[int],
    lanes: int,
    codes: tir.Buffer,
    scores: tir.Buffer,
    inputs: list[tir.Buffer],
    out: tir.Buffer,
    at: tuple[Expr, ...],
    ahead: int,
) -> Stmt:
    """The result's columns from these on, ``lanes`` from each."""
    table, *scales, bias = inputs
    count = int(codes.shape[0])
    sums = rows.local(len(starts) * lanes)

    def each(store: Callable[[Expr, Expr], Stmt]) -> list[Stmt]:
        """A vector loop for each of the starts; ``store`` takes a sum's place and its column."""

        def one(place: int, column: int) -> Stmt:
            body = partial(_shifted, store, place, column)
            return rows.loop(lanes, body, tir.ForKind.VECTORIZED)

        return [one(n * lanes, start) for n, start in enumerate(starts)]

    def begin(place: Expr, column: Expr) -> Stmt:
        return tir.BufferStore(sums, bias[column], [place])

    def end(place: Expr, column: Expr) -> Stmt:
        return tir.BufferStore(out, sums[place], [*at, column])

    def add(t: Expr) -> Stmt:
        number, factor = rows.local(1, "int32"), rows.local(1)
        score = scores[t]
        row = number[0]
        for scale in scales:
            score = score * scale[row]

        def step(place: Expr, column: Expr) -> Stmt:
            value = fma(_float(table[row, column]), factor[0], sums[place])
            return tir.BufferStore(sums, value, [place])

        return rows.sequence(
            alloc(number),
            alloc(factor),
            tir.BufferStore(number, codes[t], [0]),
            tir.BufferStore(factor, score, [0]),
            *_prefetch(table, codes[rows.least(t + ahead, count - 1)], starts, lanes, ahead),
            *each(step),
        )

    return rows.sequence(alloc(sums), *each(begin), rows.loop(count, add, most=1), *each(end))


def _shifted(store: Callable[[Expr, Expr], Stmt], place: int, column: int, lane: Expr) -> Stmt:
    return store(place + lane, column + lane)


def _float(x: Expr) -> Expr:
    return tir.Cast("float32", x) if dtype_of(x) == "int8" else widen(x)


def _prefetch(
    table: tir.Buffer, row: Expr, starts: list[int], lanes: int, ahead: int
) -> list[Stmt]:
    """Bring the cache lines of these columns of a row."""
    if not ahead:
        return []
    size = {"float32": 4, "int8": 1}.get(dtype_of(table), 2)
    step = max(LINE // size, 1)
    return [prefetch(table[row, c]) for c in range(starts[0], starts[-1] + lanes, step)]
