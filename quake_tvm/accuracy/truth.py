"""The exact values of an operator as float64 that rounds to the right float32.

libm's float64 value is off by less than a MARGIN of its size (a test holds it against mpmath). It
rounds to the right float32 unless a rounding boundary lies within that margin; there, some thousand
times in 2^32, mpmath decides with 128 bits. Below the smallest normal float32 nothing is decided:
the contract's absolute term covers what is left. Knows no approximation.
"""

from collections.abc import Callable

import numpy as np
import tvm

from ..numerics import reference
from ..numerics.operators import OPERATORS
from .float32_inputs import FLT_MAX, SMALLEST_NORMAL
from .kernels import exact

# GELU's tail needs most of it: an ulp of the argument is hundreds of the result there.
MARGIN = 2.0**-44
# Of a float64's mantissa, the bits that a float32 has no room for: a boundary has the first only.
_BEYOND, _BOUNDARY = (1 << 29) - 1, 1 << 28


def hard(y: np.ndarray) -> np.ndarray:
    """The places in y that another value within the margin would round to another float32."""
    size = np.abs(y)
    with np.errstate(all="ignore"):
        apart = np.float32(y * (1 - MARGIN)) != np.float32(y * (1 + MARGIN))
    return np.flatnonzero(apart & (size >= SMALLEST_NORMAL) & (size <= 2 * FLT_MAX))


def precise(operator: str, x: float) -> float:
    """The value at a finite x by mpmath, rounded so that its float32 is right as well.

    Raises
    ------
    QuakeError
        Without mpmath.
    """
    m, row = reference.multiprecision(), OPERATORS[operator]
    value = row.reference(m, m.number(float(x)), **row.parameters)
    rounded = np.float64(float(value))
    if rounded.view(np.int64) & _BEYOND == _BOUNDARY and rounded != value:
        # Rounding has moved it onto a boundary: back to the side where it belongs.
        rounded = np.nextafter(rounded, np.inf if value > rounded else -np.inf)
    return float(rounded)


def truth(
    operator: str, target: tvm.target.Target, settle: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Exact values for float32 inputs; at the infinities, the registry's.

    Without ``settle`` they are as libm has them.
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
