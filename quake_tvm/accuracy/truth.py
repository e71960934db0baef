"""The exact values of an operator, as float64 values that round to the right float32.

libm's float64 value is off by less than MARGIN, relative (a test compares it with mpmath). It
rounds to the right float32 unless a rounding boundary lies within that margin. There, for some
thousand of 2^32 inputs, mpmath decides with 128 bits. Below the smallest normal float32 nothing is
decided: the contract's absolute term covers the difference. Knows no approximation.
"""

from collections.abc import Callable

import numpy as np
import tvm

from ..numerics import reference
from ..numerics.operators import OPERATORS
from .float32_inputs import FLT_MAX, SMALLEST_NORMAL
from .kernels import exact

# GELU's tail needs most of the margin: there an ulp of the argument is hundreds of ulp of the
# result.
MARGIN = 2.0**-44
# The mantissa bits of a float64 that a float32 lacks. On a rounding boundary only the first of them
# is set.
_BEYOND, _BOUNDARY = (1 << 29) - 1, 1 << 28


def hard(y: np.ndarray) -> np.ndarray:
    """The indices in y where another value within the margin would round to another float32."""
    size = np.abs(y)
    with np.errstate(all="ignore"):
        apart = np.float32(y * (1 - MARGIN)) != np.float32(y * (1 + MARGIN))
    return np.flatnonzero(apart & (size >= SMALLEST_NORMAL) & (size <= 2 * FLT_MAX))


def precise(operator: str, x: float) -> float:
    """The value at a finite x by mpmath, as a float64 that rounds to the right float32.

    Raises
    ------
    QuakeError
        If mpmath is missing.
    """
    m, row = reference.multiprecision(), OPERATORS[operator]
    assert row.reference is not None
    value = row.reference(m, m.number(float(x)), **row.parameters)
    rounded = np.float64(float(value))
    if rounded.view(np.int64) & _BEYOND == _BOUNDARY and rounded != value:
        # Rounding moved the value onto a boundary: move it back to its side.
        rounded = np.nextafter(rounded, np.inf if value > rounded else -np.inf)
    return float(rounded)


def truth(
    operator: str, target: tvm.target.Target, settle: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """A function for the exact values of float32 inputs. At the infinities it uses the registry.

    Parameters
    ----------
    operator : str
    target : tvm.target.Target
        Must run on this machine.
    settle : bool
        Whether mpmath decides hard cases; otherwise libm's values are used.
    """
    libm, special = exact(operator, target), OPERATORS[operator].special

    def values(x: np.ndarray) -> np.ndarray:
        y = libm(x)
        for at in np.flatnonzero(np.isinf(x)):
            y[at] = special[float(x[at])]
        for at in hard(y) if settle else ():
            y[at] = precise(operator, x[at])
        return y

    return values
