"""Bounds of the operators over rows, derived from the errors of the exponentials that they sum.

The statements are those of docs/row_operators.md, by number. ``row_errors.json`` holds what
:mod:`quake_tvm.accuracy.row_sweep` found for every float32 t <= 0, rounded up in the third digit.
Knows no kernel.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypedDict

import numpy as np

ERRORS = "row_errors.json"
# The row length that the registry's bounds speak of.
ROW = 1024
LANES = 16
UNIT = 2.0**-24


@dataclass(frozen=True)
class Interval:
    """Relative errors that exponentials may have.

    Attributes
    ----------
    low, high : float
        The smallest, not above 0, and the largest, not below.
    """

    low: float
    high: float

    @property
    def ratio(self) -> float:
        """The largest factor between two exponentials' errors."""
        return (1 + self.high) / (1 + self.low)


@cache
def _table() -> dict[str, dict]:
    return json.loads(resources.files("quake_tvm.numerics").joinpath(ERRORS).read_text())


def reload() -> None:
    """Read what was found anew."""
    _table.cache_clear()


def kept(method: str) -> dict:
    """What was found for a rung, as it is kept."""
    return _table()[method]


def weight(method: str) -> Interval:
    """Errors of softmax's weights for t in [-17, 0], against the weight at 0."""
    return Interval(*kept(method)["weight"])


def exp(method: str) -> Interval:
    """Errors of exp for t in [-17, 0]."""
    return Interval(*kept(method)["exp"])


def monotone(method: str) -> bool:
    """Whether a weight never falls as t <= 0 rises."""
    return kept(method)["monotone"]


def tie(method: str) -> float:
    """How far apart, in ulp, exact probabilities near the largest may be that come out equal.

    An ulp of the result, which is by its error larger or smaller than the exact one (statement 9).
    """
    return kept(method)["tie"] * weight(method).ratio


def rounding(length: int = ROW) -> float:
    """What float32 adds to a probability's relative error (statement 6)."""
    return (-(-length // LANES) + 5 + 2 * math.log(length)) * UNIT


def probability(method: str) -> float:
    """The largest absolute error of a probability in exact arithmetic (statement 3)."""
    d = weight(method)
    p = np.linspace(0, 1, 100001)
    half = p[p <= 0.5]
    errors = [
        p * (1 - p) * d.high / (1 + (1 - p) * d.high),
        -p * (1 - p) * d.low / (1 + (1 - p) * d.low),
        half * ((1 - half) * d.high - (1 - 2 * half) * d.low)
        / (1 + half * d.high + (1 - 2 * half) * d.low),
        half * ((1 - 2 * half) * d.high - (1 - half) * d.low)
        / (1 + half * d.low + (1 - 2 * half) * d.high),
    ]  # fmt: skip
    return float(max(e.max() for e in errors))


def total_variation(method: str) -> float:
    """The largest sum of the probabilities' positive errors, in exact arithmetic (statement 4)."""
    root = math.sqrt(weight(method).ratio)
    return (root - 1) / (root + 1)


def divergence(method: str) -> float:
    """The largest Kullback-Leibler divergence from the exact row, in nats (statement 4)."""
    h = weight(method).ratio
    return math.log(h) / (h - 1) - 1 - math.log(math.log(h) / (h - 1))


def attention(method: str, keys: int = ROW) -> float:
    """The largest error of attention's output in units of max |v| (statement 8).

    For exact scores; scores that are off by up to eta each add at most eta.
    """
    return 2 * total_variation(method) + math.expm1(rounding(keys)) + keys * UNIT


class _Contract(TypedDict):
    relative: float
    absolute: float


class RowBound(_Contract, total=False):
    """The numbers of the error contract, and what more is promised."""

    monotone: bool
    probability: float


def bound(name: str, method: str, length: int = ROW) -> RowBound:
    """The numbers of the error contract for rows of up to ``length`` elements.

    Parameters
    ----------
    name : str
        ``softmax``, ``log_softmax`` or ``logsumexp``.
    method : str
        A rung.
    length : int

    Returns
    -------
    dict
        ``relative`` and ``absolute``; of softmax also ``probability`` and ``monotone``.
    """
    if name == "softmax":
        grown = math.exp(rounding(length))
        return {
            "relative": weight(method).ratio * grown - 1,
            "absolute": UNIT,
            "monotone": monotone(method),
            "probability": probability(method) + grown - 1 + UNIT,
        }
    d = exp(method)
    absolute = max(math.log1p(d.high), -math.log1p(d.low)) + rounding(length)
    if name == "log_softmax":
        return {"relative": 4 * UNIT, "absolute": absolute, "monotone": True}
    return {"relative": 2 * UNIT, "absolute": absolute + 3 * UNIT * math.log(length)}
