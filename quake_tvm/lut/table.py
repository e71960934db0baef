"""A piecewise-linear function of an integer, and its error against an exact function.

Knows no search.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Table:
    """``(slopes[k] * x + intercepts[k]) / 2**shift``, with k breakpoints at most x.

    Attributes
    ----------
    breakpoints : tuple of int
        In ascending order, one less than entries.
    slopes, intercepts : tuple of int
        One for each entry.
    shift : int
    """

    breakpoints: tuple[int, ...]
    slopes: tuple[int, ...]
    intercepts: tuple[int, ...]
    shift: int

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Table":
        """A table from its attributes, which may be lists."""
        breakpoints, slopes, intercepts = (
            tuple(raw[name]) for name in ("breakpoints", "slopes", "intercepts")
        )
        return cls(breakpoints, slopes, intercepts, raw["shift"])

    def sums(self, x: np.ndarray) -> np.ndarray:
        """The value times 2**shift, in int64, for an array of integers."""
        entry = np.searchsorted(np.asarray(self.breakpoints), x, side="right")
        return (
            np.asarray(self.slopes)[entry] * x.astype(np.int64) + np.asarray(self.intercepts)[entry]
        )

    def values(self, x: np.ndarray) -> np.ndarray:
        """The value in float64."""
        return np.ldexp(self.sums(x).astype(np.float64), -self.shift)

    def rounded(self, x: np.ndarray, dtype: str) -> np.ndarray:
        """The value as an integer: the nearest, the greater of two, within the type's limits."""
        limits = np.iinfo(dtype)
        half = 1 << self.shift >> 1
        return np.clip((self.sums(x) + half) >> self.shift, limits.min, limits.max).astype(dtype)


@dataclass(frozen=True)
class TableError:
    """The error of a table on all inputs that count.

    Attributes
    ----------
    mse, max : float
        The mean of the squared errors, and the largest error.
    witness : int
        The input with the largest error.
    """

    mse: float
    max: float
    witness: int


def error(found: np.ndarray, exact: np.ndarray, x: np.ndarray) -> TableError:
    """The error of found values.

    Parameters
    ----------
    found, exact : np.ndarray
        The values at ``x``.
    x : np.ndarray
        Integers.
    """
    apart = np.abs(np.asarray(found, np.float64) - exact)
    worst = int(apart.argmax())
    return TableError(float(np.mean(apart**2)), float(apart[worst]), int(x[worst]))
