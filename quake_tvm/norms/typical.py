"""Typical sizes: the first two moments of the rows of a tensor, as the weights suggest them.

A row is mean + gain u, where the elements of u have mean 0 and variance 1, and no correlation.
That is exact for a norm's result if its rows lie evenly on their sphere. Operators that combine two
tensors take them as independent. Knows no operator of Relax and no axis.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# For expectations over a normal distribution.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Typical:
    """Vectors of n features.

    Attributes
    ----------
    gain : np.ndarray
        float64 (n, k); or (n,), a diagonal.
    mean : np.ndarray
        float64 (n,).
    """

    gain: np.ndarray
    mean: np.ndarray

    def __len__(self) -> int:
        """The number of features."""
        return len(self.mean)

    @classmethod
    def moments(cls, mean: np.ndarray, square: np.ndarray) -> "Typical":
        """Independent features with these means and mean squares."""
        return cls(np.sqrt(np.maximum(square - mean**2, 0.0)), mean)

    @classmethod
    def normal(cls, gamma: np.ndarray, beta: np.ndarray) -> "Typical":
        """What a norm with these weights gives."""
        return cls(gamma, beta)

    @classmethod
    def rows(cls, rows: np.ndarray) -> "Typical":
        """Any of the rows of a table."""
        return cls.moments(rows.mean(axis=0), (rows**2).mean(axis=0))

    @cached_property
    def variances(self) -> np.ndarray:
        """(n,)."""
        return self.gain**2 if self.gain.ndim == 1 else (self.gain**2).sum(axis=1)

    @property
    def squares(self) -> np.ndarray:
        """The mean squares, (n,)."""
        return self.mean**2 + self.variances

    @property
    def length(self) -> float:
        """The typical root sum of squares."""
        return float(np.sqrt(self.squares.sum()))

    def taken(self, places: np.ndarray) -> "Typical":
        """The features at these places."""
        gain = self.gain[places]
        if gain.ndim == 1:  # a feature that is taken twice reads one element of u
            kept, where = np.unique(places, return_inverse=True)
            if len(kept) < len(places):
                gain = np.zeros((len(places), len(kept)))
                gain[np.arange(len(places)), where] = self.gain[places]
        return Typical(gain, self.mean[places])

    def independent(self, groups: np.ndarray) -> "Typical":
        """The same: all heads are taken to attend to one row."""
        return self

    def shifted(self, shift: np.ndarray) -> "Typical":
        """The sum with a vector."""
        return Typical(self.gain, self.mean + shift)

    def scaled(self, factors: np.ndarray) -> "Typical":
        """The product with a vector, feature by feature."""
        return Typical((self.gain.T * factors).T, self.mean * factors)

    def linear(self, weight: np.ndarray) -> "Typical":
        """The product with a matrix (n, m) from the right."""
        gain = weight.T * self.gain if self.gain.ndim == 1 else weight.T @ self.gain
        return Typical(gain, self.mean @ weight)

    def plus(self, other: "Typical") -> "Typical":
        """The sum with an independent vector."""
        return Typical(np.sqrt(self.variances + other.variances), self.mean + other.mean)

    def times(self, other: "Typical") -> "Typical":
        """The product with an independent vector, feature by feature."""
        return Typical.moments(self.mean * other.mean, self.squares * other.squares)

    def joined(self, other: "Typical") -> "Typical":
        """This in one half of the cases, the other in the other half."""
        return Typical.moments((self.mean + other.mean) / 2, (self.squares + other.squares) / 2)

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> "Typical":
        """A function of each feature, which is taken to have a normal distribution."""
        at = self.mean[:, None] + np.sqrt(self.variances)[:, None] * _NODES
        values = function(at)
        return Typical.moments(values @ _WEIGHTS, values**2 @ _WEIGHTS)
