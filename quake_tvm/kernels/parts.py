"""The parts in which a kernel's units of work are given to threads. Knows no operator."""

from collections.abc import Callable

from ..tvm_version import tir
from . import rows
from .rows import Expr, Stmt

# Multiplications of the smallest part: with fewer, a kernel ends before a second thread has
# started.
LEAST_WORK = 1 << 17


def in_parts(
    units: int | Expr, work: int | Expr, start: list[Stmt], body: Callable[[Expr], Stmt]
) -> Stmt:
    """Run ``body`` for every unit, on as many cores as the work is worth.

    Parameters
    ----------
    units : int or PrimExpr
        The number of units.
    work : int or PrimExpr
        The number of multiplications of all units.
    start : list of Stmt
        What is done once before the units of a part.
    body : callable
        The number of a unit to its statement.
    """
    parts = rows.least(units, rows.greatest(work // LEAST_WORK, 1))
    count, parts = rows.once(parts)
    if rows.fixed(parts) == 1:
        return rows.sequence(*start, rows.loop(units, body, most=1))

    def part(p: Expr) -> Stmt:
        begin, first = rows.once(p * units // parts)
        end, last = rows.once((p + 1) * units // parts)

        def unit(n: Expr) -> Stmt:
            named, number = rows.once(first + n)
            return rows.sequence(*named, body(number))

        return rows.sequence(*start, *begin, *end, rows.loop(last - first, unit))

    one_each = rows.fixed(units) is not None and rows.fixed(units) == rows.fixed(parts)
    whole = (lambda p: rows.sequence(*start, body(p))) if one_each else part
    return rows.sequence(*count, rows.loop(parts, whole, tir.ForKind.PARALLEL))
