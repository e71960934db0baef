"""The functions that tables approximate, with the ranges on which their errors count."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import QuakeError
from ..numerics import reference

# Fraction bits of slopes and intercepts of 8 bits: they are in [-2, 2).
FRACTION = 6


@dataclass(frozen=True)
class Function:
    """A function of one number.

    Attributes
    ----------
    name, formula : str
    of : callable
        The function of an array of float64.
    low, high : float
        The range on which errors count.
    ends : pair of float
        Where the first chord begins and the last one ends. Beyond the range where the function
        goes on nearly straight.
    breaks : pair of float
        Where the genetic search may put breakpoints.
    fraction : int
        Fraction bits of slopes and intercepts.
    """

    name: str
    formula: str
    of: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    ends: tuple[float, float]
    breaks: tuple[float, float]
    fraction: int = FRACTION


def _exact(name: str) -> Callable[[np.ndarray], np.ndarray]:
    formula = getattr(reference, name)
    return lambda x: formula(reference.NUMPY, x)


def _hswish(x: np.ndarray) -> np.ndarray:
    return x * np.clip(x + 3, 0, 6) / 6


def _rsqrt(x: np.ndarray) -> np.ndarray:
    return 1 / np.sqrt(x)


_FAR = (-1e4, 1e4)
# Steeper than 2: these have one fraction bit less.
_STEEP = FRACTION - 1

FUNCTIONS = {
    row.name: row
    for row in (
        Function("gelu", "x/2 (1 + erf(x/sqrt 2))", _exact("gelu"), -4, 4, _FAR, (-4, 4)),
        Function("hswish", "x min(max(x + 3, 0), 6)/6", _hswish, -4, 4, _FAR, (-4, 4)),
        Function("silu", "x/(1 + e^-x)", _exact("silu"), -4, 4, _FAR, (-4, 4)),
        Function("sigmoid", "1/(1 + e^-x)", _exact("sigmoid"), -8, 8, _FAR, (-8, 8)),
        Function("tanh", "tanh x", np.tanh, -4, 4, _FAR, (-4, 4)),
        Function("exp", "e^x", np.exp, -8, 0, (-16, 0), (-6.5, 0)),
        Function("reciprocal", "1/x", np.reciprocal, 0.5, 4, (0.5, 4), (0.625, 3.875), _STEEP),
        Function("rsqrt", "1/sqrt x", _rsqrt, 0.25, 4, (0.25, 4), (0.25, 3.875), _STEEP),
    )
}


def function(name: str) -> Function:
    """The function of a name. Raises QuakeError for an unknown name."""
    if name not in FUNCTIONS:
        raise QuakeError(f"unknown function {name!r}; choose from: {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name]
