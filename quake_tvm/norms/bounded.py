"""Proven bounds: a set that contains every vector that the rows of a tensor can be.

The set is {gain u + shift}, where u is any vector of a ball around 0. The feature k of the vector
reads u number ``sources[k]``: attention gives each head a mixture of its own. Every method returns
a set that contains all results. Knows no operator of Relax and no axis.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

# Covers the rounding of this module's float64 computations.
_MARGIN = 1 + 1e-6


def spectral(matrix: np.ndarray) -> float:
    """A bound on the largest factor by which a matrix stretches a vector."""
    if not matrix.size:
        return 0.0
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    square = matrix @ matrix.T
    if not np.isfinite(square).all():  # it has overflowed
        return float("inf")
    largest = np.linalg.eigvalsh(square)[-1]
    return float(np.sqrt(max(largest, 0.0))) * _MARGIN


@dataclass(frozen=True)
class Bounded:
    """Vectors of n features.

    Attributes
    ----------
    gain : np.ndarray
        float64 (n, k); or (n,), a diagonal.
    shift : np.ndarray
        float64 (n,).
    radius : float
        The largest length of u.
    sources : np.ndarray
        int (n,).
    most : np.ndarray
        float64 (n,): each feature's magnitude is also at most this.
    """

    gain: np.ndarray
    shift: np.ndarray
    radius: float
    sources: np.ndarray
    most: np.ndarray

    def __len__(self) -> int:
        """The number of features."""
        return len(self.shift)

    @classmethod
    def ball(cls, radius: float, most: np.ndarray, shift: np.ndarray | None = None) -> "Bounded":
        """The vectors at most ``radius`` from ``shift`` (0), of features of limited magnitude."""
        n = len(most)
        radius = min(radius, float(np.linalg.norm(most))) if shift is None else radius
        shift = np.zeros(n) if shift is None else shift
        return cls(np.ones(n), shift, radius, np.zeros(n, int), most)

    @classmethod
    def normal(cls, gamma: np.ndarray, beta: np.ndarray) -> "Bounded":
        """What a norm with these weights gives: its rows have the length sqrt(n) at the most."""
        n = len(gamma)
        return cls(gamma, beta, n**0.5, np.zeros(n, int), np.full(n, np.inf))

    @classmethod
    def rows(cls, rows: np.ndarray) -> "Bounded":
        """Any of the rows of a table."""
        longest = np.linalg.norm(rows, axis=1).max(initial=0.0)
        return cls.ball(float(longest), np.abs(rows).max(axis=0, initial=0.0))

    @cached_property
    def _deviations(self) -> list[float]:
        """For each source, a bound on the length of gain u."""
        parts = (self.gain[self.sources == s] for s in np.unique(self.sources))
        factors = (np.abs(p).max(initial=0.0) if p.ndim == 1 else spectral(p) for p in parts)
        return [float(factor) * self.radius for factor in factors]

    @cached_property
    def magnitudes(self) -> np.ndarray:
        """A bound on each feature's magnitude, (n,)."""
        rows = np.abs(self.gain) if self.gain.ndim == 1 else np.linalg.norm(self.gain, axis=1)
        return np.minimum(self.most, rows * self.radius + np.abs(self.shift))

    @cached_property
    def length(self) -> float:
        """A bound on the root sum of squares."""
        whole = np.linalg.norm(self._deviations) + np.linalg.norm(self.shift)
        return float(min(whole, np.linalg.norm(self.magnitudes))) * _MARGIN

    def taken(self, places: np.ndarray) -> "Bounded":
        """The features at these places."""
        arrays = (self.gain, self.shift, self.sources, self.most)
        gain, shift, sources, most = (array[places] for array in arrays)
        if gain.ndim == 1:  # a feature that is taken twice reads one element of u
            kept, where = np.unique(places, return_inverse=True)
            if len(kept) < len(places):
                matrix = np.zeros((len(places), len(kept)))
                matrix[np.arange(len(places)), where] = gain
                gain = matrix
        return Bounded(gain, shift, self.radius, sources, most)

    def independent(self, groups: np.ndarray) -> "Bounded":
        """The same where each group of features reads a u of its own.

        This contains the convex mixtures of rows that attention makes, each group with its weights.
        """
        pairs = np.stack([groups, self.sources], axis=1)
        sources = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
        return replace(self, sources=sources)

    def shifted(self, shift: np.ndarray) -> "Bounded":
        """The sum with a vector."""
        return replace(self, shift=self.shift + shift, most=self.most + np.abs(shift))

    def scaled(self, factors: np.ndarray) -> "Bounded":
        """The product with a vector, feature by feature."""
        gain = (self.gain.T * factors).T
        most = np.where(factors == 0, 0.0, self.most) * np.abs(factors)
        return replace(self, gain=gain, shift=self.shift * factors, most=most)

    def linear(self, weight: np.ndarray) -> "Bounded":
        """The product with a matrix (n, m) from the right."""
        shift, m = self.shift @ weight, weight.shape[1]
        sources = np.unique(self.sources)
        unlimited = np.full(m, np.inf)
        if len(sources) == 1:
            return Bounded(
                _product(weight, self.gain), shift, self.radius, np.zeros(m, int), unlimited
            )
        radius = 0.0
        for source in sources:
            here = self.sources == source
            # The stretch of w^T g is that of r^T g, where w^T is an orthogonal matrix times r^T.
            thin = np.asarray(np.linalg.qr(weight[here].T, mode="r")).T
            radius += spectral(_product(thin, self.gain[here])) * self.radius
        return Bounded.ball(radius, unlimited, shift)

    def plus(self, other: "Bounded") -> "Bounded":
        """The sum of any vector of this and any of the other."""
        radius = float(np.linalg.norm(self._deviations) + np.linalg.norm(other._deviations))
        most = self.magnitudes + other.magnitudes
        return Bounded.ball(radius, most, self.shift + other.shift)

    def times(self, other: "Bounded") -> "Bounded":
        """The product of any vector of this and any of the other, feature by feature."""
        a, b = self.magnitudes, other.magnitudes
        return Bounded.ball(min(self.length * b.max(), other.length * a.max()), a * b)

    def joined(self, other: "Bounded") -> "Bounded":
        """Any vector of this or of the other."""
        most = np.maximum(self.magnitudes, other.magnitudes)
        return Bounded.ball(max(self.length, other.length), most)

    def contracted(self, largest: float = np.inf) -> "Bounded":
        """A function of each feature with |f(t)| <= |t| and |f(t)| <= largest."""
        return Bounded.ball(self.length, np.minimum(self.magnitudes, largest))

    def within(self, largest: float) -> "Bounded":
        """A function of each feature with |f(t)| <= largest."""
        return Bounded.ball(np.inf, np.full(len(self.shift), largest))


def _product(weight: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """weight^T gain, a matrix."""
    return weight.T * gain if gain.ndim == 1 else weight.T @ gain
