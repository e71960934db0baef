"""A piecewise-linear table at one element: breakpoints are compared, no memory is read.

In integers of twice the width of input and output, the same for every target. Knows no tensor.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..tvm_version import Expr, tir

if TYPE_CHECKING:
    from ..lut.integers import IntegerTable


def piecewise_linear(x: Expr, table: "IntegerTable") -> Expr:
    """The output of a table.

    Parameters
    ----------
    x : Expr
        An integer of the table's input type.
    table : IntegerTable

    Returns
    -------
    Expr
        Of the table's output type.
    """
    lines, wide, (zero, point) = table.table, table.wide, table.zeros

    def number(value: int) -> Expr:
        return tir.const(value, wide)

    at = tir.Cast(wide, x)
    if zero:
        at = at - number(zero)

    def entry(values: list[int]) -> Expr:
        """The value of the segment that the input is in."""
        chosen = number(values[0])
        for start, value in zip(lines.breakpoints, values[1:], strict=True):
            chosen = tir.Select(at >= number(start), number(value), chosen)
        return chosen

    half = 1 << lines.shift >> 1
    starts = [intercept + half for intercept in lines.intercepts]
    value = (entry(list(lines.slopes)) * at + entry(starts)) >> number(lines.shift)
    limits = np.iinfo(table.to)
    inside = tir.max(value, number(int(limits.min) - point))
    inside = tir.min(inside, number(int(limits.max) - point))
    return tir.Cast(table.to, inside + number(point) if point else inside)
