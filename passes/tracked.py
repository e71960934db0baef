"""Arithmetic that bounds the rounding error of a chain of float32 steps.

A :class:`Tracked` array is an unevaluated sum of two float64 arrays, so that ``1 + erf(x)`` keeps
its digits where erf(x) is close to -1. It also has a bound on its error, and a flag that is set if
a step left the range of numbers. Errors come from float64's rounding and from constants: a float32
constant stands for a real number near it (1.4142135 for the square root of 2).

:class:`Arithmetic` has one method for each kind of step of :mod:`chain`, under the kind's name
without ``nn.``. Knows no operator of the registry.

Sources: T. J. Dekker, "A floating-point technique for extending the available precision" (1971);
N. J. Higham, "Accuracy and Stability of Numerical Algorithms", section 3.3 (running error bounds).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from quake_tvm.numerics import reference

# A bound on the relative error of a float64 function of NumPy or of :mod:`reference`.
ROUNDING = 2.0**-48
# The relative difference between a constant and the number that it stands for: two float32 ulp.
CONSTANT = 2.0**-22
# Constants with at most so many significant bits, and their float32 neighbours, are exact.
_SHORT_BITS = 12

_erf, _erfc = reference.NUMPY.erf, reference.NUMPY.erfc


@dataclass(frozen=True)
class Tracked:
    """The number ``high + low``, up to ``error``; ``low`` is at most half an ulp of ``high``.

    Attributes
    ----------
    high, low, error : np.ndarray
        float64.
    lost : np.ndarray
        bool: an overflow or underflow has occurred in some step.
    """

    high: np.ndarray
    low: np.ndarray
    error: np.ndarray
    lost: np.ndarray

    def __neg__(self) -> "Tracked":
        return replace(self, high=-self.high, low=-self.low)

    @property
    def spread(self) -> np.ndarray:
        """A bound on the distance of the number from ``high``."""
        return self.error + np.abs(self.low)


def _is_short(value: float) -> bool:
    """Whether the number is within four float32 ulp of one with few significant bits."""
    mantissa = np.frexp(value)[0] * 2.0**_SHORT_BITS
    return not np.isfinite(value) or abs(mantissa - np.rint(mantissa)) <= 2.0 ** (_SHORT_BITS - 22)


def _chosen(where: np.ndarray, a: Tracked, b: Tracked) -> Tracked:
    fields = ("high", "low", "error", "lost")
    return Tracked(*(np.where(where, getattr(a, f), getattr(b, f)) for f in fields))


def _product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a*b rounded, and its exact rounding error (Dekker). The error is 0 if splitting overflows."""

    def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        big = x * (2.0**27 + 1)
        upper = big - (big - x)
        return upper, x - upper

    p, (au, al), (bu, bl) = a * b, split(a), split(b)
    rest = ((au * bu - p) + au * bl + al * bu) + al * bl
    return p, np.where(np.isfinite(rest), rest, 0.0)


class Arithmetic:
    """Steps on numbers of a given range.

    Parameters
    ----------
    largest, smallest : float
        Larger magnitudes become infinite, smaller ones become zero. The default is float64's range.
    """

    def __init__(self, largest: float = np.inf, smallest: float = 0.0) -> None:
        self.largest, self.smallest = largest, smallest

    def number(self, value: float) -> Tracked:
        """A constant of the chain."""
        error = 0.0 if _is_short(value) else abs(value) * CONSTANT
        return Tracked(np.array(value), np.array(0.0), np.array(error), np.array(False))

    def exact(self, x: np.ndarray) -> Tracked:
        """The chain's input, which has no error."""
        return Tracked(x, np.zeros_like(x), np.zeros_like(x), np.zeros(x.shape, bool))

    def _made(
        self,
        high: np.ndarray,
        low: np.ndarray,
        error: np.ndarray,
        *args: Tracked,
        vanishes: bool | np.ndarray = False,
        pole: bool | np.ndarray = False,
    ) -> Tracked:
        """The result of a step.

        ``vanishes`` is set where a nonzero value was rounded to zero. ``pole`` is set where the
        exact value is infinite, so that infinity is no overflow.
        """
        total = high + low
        rest = np.where(np.isfinite(total), low - (total - high), 0.0)
        inside = reduce(np.logical_and, (np.isfinite(a.high) for a in args))
        large = np.isfinite(total) & (np.abs(total) > self.largest)
        overflow = large | (inside & np.isinf(total) & ~np.asarray(pole))
        vanishes = np.logical_or(vanishes, (np.abs(total) < self.smallest) & (total != 0))
        total = np.where(overflow, np.copysign(np.inf, total), np.where(vanishes, 0.0, total))
        rest = np.where(overflow | vanishes, 0.0, rest)
        lost = reduce(np.logical_or, (a.lost for a in args), overflow | vanishes)
        error = np.where(np.isfinite(total), np.where(np.isnan(error), np.inf, error), 0.0)
        return Tracked(total, rest, error, lost)

    # Sums and products.

    def add(self, a: Tracked, b: Tracked) -> Tracked:
        high = a.high + b.high
        virtual = high - a.high
        rest = (a.high - (high - virtual)) + (b.high - virtual)  # Knuth's exact sum
        rest = np.where(np.isfinite(rest), rest, 0.0)
        size = np.abs(rest) + np.abs(a.low) + np.abs(b.low)
        error = a.error + b.error + ROUNDING * size
        return self._made(high, rest + a.low + b.low, error, a, b)

    def subtract(self, a: Tracked, b: Tracked) -> Tracked:
        return self.add(a, -b)

    def negative(self, a: Tracked) -> Tracked:
        return -a

    def multiply(self, a: Tracked, b: Tracked) -> Tracked:
        high, rest = _product(a.high, b.high)
        cross = a.high * b.low + a.low * b.high
        cross = np.where(np.isfinite(cross), cross, 0.0)
        error = np.abs(a.high) * b.error + a.spread * b.error + np.abs(b.high) * a.error
        error = error + ROUNDING * (np.abs(rest) + np.abs(cross) + np.abs(a.low * b.low))
        vanishes = (high == 0) & (a.high != 0) & (b.high != 0)
        return self._made(high, rest + cross, error, a, b, vanishes=vanishes)

    def divide(self, a: Tracked, b: Tracked) -> Tracked:
        high = a.high / b.high
        back, rest = _product(high, b.high)
        low = ((a.high - back) - rest + a.low - high * b.low) / b.high
        low = np.where(np.isfinite(low), low, 0.0)
        nearest = np.maximum(np.abs(b.high) - b.spread, 0.0)
        error = (a.error + np.abs(high) * b.error) / nearest
        error = np.where((a.error == 0) & (b.error == 0), 0.0, error) + ROUNDING * np.abs(low)
        vanishes = (high == 0) & (a.high != 0) & np.isfinite(b.high)
        return self._made(high, low, error, a, b, vanishes=vanishes, pole=b.high == 0)

    def square(self, a: Tracked) -> Tracked:
        return self.multiply(a, a)

    def power(self, a: Tracked, b: Tracked) -> Tracked:
        exponent = b.high
        if exponent.ndim == 0 and exponent in (1, 2, 3, 4):
            result = a
            for _ in range(int(exponent) - 1):
                result = self.multiply(result, a)
            return result
        high = np.power(a.high, b.high)
        relative = np.abs(b.high) * a.spread / np.abs(a.high)
        relative = relative + b.spread * np.abs(np.log(np.abs(a.high)))
        error = np.abs(high) * (np.expm1(relative) + ROUNDING)
        edges = {"vanishes": (high == 0) & (a.high != 0), "pole": a.high == 0}
        return self._made(high, np.zeros_like(high), error, a, b, **edges)

    # Selections.

    def maximum(self, a: Tracked, b: Tracked) -> Tracked:
        first = (a.high > b.high) | ((a.high == b.high) & (a.low >= b.low)) | np.isnan(a.high)
        chosen = _chosen(first, a, b)
        near = np.abs(a.high - b.high) <= a.spread + b.spread
        error = np.where(near, np.maximum(a.error, b.error), chosen.error)
        return replace(chosen, error=error, lost=a.lost | b.lost)

    def minimum(self, a: Tracked, b: Tracked) -> Tracked:
        return -self.maximum(-a, -b)

    def relu(self, a: Tracked) -> Tracked:
        return self.maximum(a, self.number(0.0))

    def abs(self, a: Tracked) -> Tracked:
        return _chosen(a.high < 0, -a, a)

    def _compared(self, true: np.ndarray, a: Tracked, b: Tracked) -> Tracked:
        errors = a.error + b.error
        uncertain = (errors > 0) & (np.abs(a.high - b.high) <= a.spread + b.spread)
        high = np.asarray(true, float)
        return Tracked(high, np.zeros_like(high), np.asarray(uncertain, float), a.lost | b.lost)

    def greater(self, a: Tracked, b: Tracked) -> Tracked:
        more = (a.high > b.high) | ((a.high == b.high) & (a.low > b.low))
        return self._compared(more, a, b)

    def less(self, a: Tracked, b: Tracked) -> Tracked:
        return self.greater(b, a)

    def greater_equal(self, a: Tracked, b: Tracked) -> Tracked:
        more = (a.high > b.high) | ((a.high == b.high) & (a.low >= b.low))
        return self._compared(more, a, b)

    def less_equal(self, a: Tracked, b: Tracked) -> Tracked:
        return self.greater_equal(b, a)

    def where(self, condition: Tracked, a: Tracked, b: Tracked) -> Tracked:
        chosen = _chosen(condition.high != 0, a, b)
        either = np.abs(a.high - b.high) + a.spread + b.spread
        error = np.where(condition.error > 0, either, chosen.error)
        return replace(chosen, error=error, lost=chosen.lost | condition.lost)

    # Functions of one number.

    def _function(
        self,
        a: Tracked,
        f: Callable[[np.ndarray], np.ndarray],
        base: float | np.ndarray = 0.0,
        nonzero: bool = False,
    ) -> Tracked:
        """base + f(a). The error is computed from f at both ends of the interval of a.

        ``nonzero`` says that f is zero only at zero, so any other zero is an underflow.
        """
        rest = f(a.high)
        ends = (np.abs(f(a.high + sign * a.spread) - rest) for sign in (1, -1))
        error = np.where(a.spread > 0, 2 * np.maximum(*ends), 0.0) + ROUNDING * np.abs(rest)
        vanishes = nonzero & (rest == 0) & np.isfinite(a.high) & (a.high != 0)
        base = np.broadcast_to(base, rest.shape)
        high = np.where(base == 0, rest, base)
        low = np.where(base == 0, 0.0, rest)
        made = self._made(high, low, error, a, vanishes=vanishes & (base == 0))
        return replace(made, lost=made.lost | vanishes)

    def exp(self, a: Tracked) -> Tracked:
        near = np.abs(a.high) < 0.5
        return self._function(
            a, lambda v: np.where(near, np.expm1(v), np.exp(v)), near.astype(float), True
        )

    def sigmoid(self, a: Tracked) -> Tracked:
        near, right = np.abs(a.high) < 1, a.high >= 1

        def rest(v: np.ndarray) -> np.ndarray:
            tail = reference.sigmoid(reference.NUMPY, np.where(right, -v, v))
            return np.where(near, 0.5 * np.tanh(0.5 * v), np.where(right, -tail, tail))

        return self._function(a, rest, np.where(near, 0.5, np.where(right, 1.0, 0.0)), True)

    def tanh(self, a: Tracked) -> Tracked:
        near, sign = np.abs(a.high) < 0.5, np.sign(a.high)

        def rest(v: np.ndarray) -> np.ndarray:
            tail = -2 * sign * reference.sigmoid(reference.NUMPY, -2 * sign * v)
            return np.where(near, np.tanh(v), tail)

        return self._function(a, rest, np.where(near, 0.0, sign), True)

    def erf(self, a: Tracked) -> Tracked:
        near, sign = np.abs(a.high) < 0.5, np.sign(a.high)

        def rest(v: np.ndarray) -> np.ndarray:
            return np.where(near, _erf(v), -sign * _erfc(sign * v))

        return self._function(a, rest, np.where(near, 0.0, sign), True)

    def log(self, a: Tracked) -> Tracked:
        near = (a.high > 0.5) & (a.high < 2)
        high = np.where(near, np.log1p((a.high - 1) + a.low), np.log(a.high))
        apart = np.where(near, a.error, a.spread)
        error = apart / np.maximum(np.abs(a.high) - apart, 0.0)
        error = np.where(apart == 0, 0.0, error) + ROUNDING * np.abs(high)
        return self._made(high, np.zeros_like(high), error, a, pole=a.high == 0)

    def sqrt(self, a: Tracked) -> Tracked:
        return self._function(a, lambda v: np.sqrt(np.where(a.high >= 0, np.maximum(v, 0), v)))

    def rsqrt(self, a: Tracked) -> Tracked:
        return self.divide(self.number(1.0), self.sqrt(a))

    def gelu(self, a: Tracked) -> Tracked:
        return self._function(a, lambda v: reference.gelu(reference.NUMPY, v))

    def gelu_tanh(self, a: Tracked) -> Tracked:
        return self._function(a, lambda v: reference.gelu_tanh(reference.NUMPY, v))

    def silu(self, a: Tracked) -> Tracked:
        return self._function(a, lambda v: reference.silu(reference.NUMPY, v))

    def selu(self, a: Tracked) -> Tracked:
        return self._function(a, lambda v: reference.selu(reference.NUMPY, v))

    def softplus(self, a: Tracked, beta: float, threshold: float) -> Tracked:
        smooth = self._function(
            a, lambda v: reference.softplus(reference.NUMPY, v, beta), nonzero=True
        )
        past = self.greater(self.multiply(a, self.number(beta)), self.number(threshold))
        return self.where(past, a, smooth)
