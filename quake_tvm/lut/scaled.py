"""Tables of a function of ``x * 2**-exponent``, where x is an int8. Knows both searches.

A table takes slopes and intercepts of 8 bits. A scale that is a power of two moves breakpoints and
intercepts by shifts.
"""

from collections.abc import Sequence

import numpy as np

from . import dynamic
from .functions import Function
from .genetic import Chords
from .table import Table, TableError, error

# The scales of inputs are 2^-exponent.
EXPONENTS = range(7)
_BYTE = (-128, 127)


def inputs(function: Function, exponent: int) -> np.ndarray:
    """The int8 within the function's range."""
    x = np.arange(_BYTE[0], _BYTE[1] + 1)
    real = np.ldexp(x.astype(np.float64), -exponent)
    return x[(real >= function.low) & (real <= function.high)]


def exact(function: Function, exponent: int) -> np.ndarray:
    """The function at all :func:`inputs`."""
    return function.of(np.ldexp(inputs(function, exponent).astype(np.float64), -exponent))


def of_chords(function: Function, chords: Chords, exponent: int) -> Table:
    """The table of chords, whose breakpoints the scale rounds."""
    places = np.rint(np.ldexp(chords.breakpoints, exponent)).clip(*_BYTE)
    return Table(
        tuple(int(p) for p in places),
        tuple(int(s) for s in chords.slopes),
        tuple(int(b) << exponent for b in chords.intercepts),
        function.fraction + exponent,
    )


def best(function: Function, entries: int, exponent: int) -> Table:
    """The table with the least mean squared error at a scale."""
    form = dynamic.Format(function.fraction + exponent, _BYTE, _BYTE, 1 << exponent)
    x = inputs(function, exponent)
    return dynamic.fit(exact(function, exponent), int(x[0]), entries, form)


def measured(function: Function, table: Table, exponent: int) -> TableError:
    """The error of a table on all :func:`inputs`."""
    x = inputs(function, exponent)
    return error(table.values(x), exact(function, exponent), x)


def mean_error(function: Function, tables: Sequence[Table]) -> float:
    """The mean of the mean squared errors of one table for each of the exponents."""
    errors = zip(EXPONENTS, tables, strict=True)
    return float(np.mean([measured(function, table, e).mse for e, table in errors]))
