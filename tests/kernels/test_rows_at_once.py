"""Rows that are computed at once: no two cores compute the same row."""

from collections import Counter

import pytest
from tvm import sym

from quake_tvm.kernels import row_kernel
from quake_tvm.schedules.tiles import substituted
from quake_tvm.tvm_version import tir

OUT = tir.decl_buffer((1,), "float32", "out")
ROWS, LENGTH = tir.Var("rows", "int64"), tir.Var("length", "int64")


def program(_, at):
    return [tir.BufferStore(OUT, tir.const(1, "float32"), list(at))]


def number(expr, known):
    return int(sym.Analyzer().simplify(substituted(expr, known)))


def stored(stmt, known, core=()):
    """Each row that is stored, with the iteration of the parallel loop that stores it."""
    if isinstance(stmt, tir.SeqStmt):
        for each in stmt.seq:
            yield from stored(each, known, core)
    elif isinstance(stmt, tir.IfThenElse):
        chosen = stmt.then_case if number(stmt.condition, known) else stmt.else_case
        yield from stored(chosen, known, core)
    elif isinstance(stmt, tir.For):
        for n in range(number(stmt.extent, known)):
            value = tir.const(n, "int64")
            own = (n,) if stmt.kind == tir.ForKind.PARALLEL else core
            yield from stored(stmt.body, [*known, (stmt.loop_var, value)], own)
    else:
        yield number(stmt.indices[-1], known), core


def check(stmt, count):
    known = [(ROWS, tir.const(count, "int64")), (LENGTH, tir.const(64, "int64"))]
    cores = Counter(row for row, _core in set(stored(stmt, known)))
    assert cores == Counter(range(count))


@pytest.mark.parametrize("count", [1, 3, 4, 5, 6, 8, 9, 11, 14])
def test_unknown_sizes(count):
    check(row_kernel.kernel([ROWS], LENGTH, program, parallel=True), count)


@pytest.mark.parametrize("several", [1, 2, 4])
@pytest.mark.parametrize("count", [4, 5, 7, 9])
def test_known_sizes(count, several):
    outer = [tir.const(count, "int64")]
    long = tir.const(1000, "int64")
    stmt = row_kernel.kernel(outer, long, program, rows_at_once=several, parallel=True)
    check(stmt, count)
