"""Bounds of the operators over rows, derived from the errors of the exponentials that they sum.

The statement numbers are those of docs/row_operators.md. ``row_errors.json`` holds the errors that
:mod:`quake_tvm.accuracy.row_sweep` found over every float32 t <= 0, rounded up to three digits.
Knows no kernel.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypedDict

import numpy as np

from ..support.whole_file import whole_file

ERRORS = "row_errors.json"
# The row length that the registry's bounds assume.
ROW = 1024
LANES = 16
UNIT = 2.0**-24


@dataclass(frozen=True)
class Interval:
    """The range of the relative errors of exponentials.

    Attributes
    ----------
    low, high : float
        The smallest error, at most 0, and the largest, at least 0.
    """

    low: float
    high: float

    @property
    def ratio(self) -> float:
        """The largest ratio between the error factors of two exponentials."""
        return (1 + self.high) / (1 + self.low)


@cache
def _table() -> dict[str, dict]:
    return json.loads(resources.files("quake_tvm.numerics").joinpath(ERRORS).read_text())


def update(errors: Mapping[str, Mapping]) -> None:
    """Store new errors by rung (a developer's tool: writes into the package)."""
    path = Path(str(resources.files("quake_tvm.numerics").joinpath(ERRORS)))
    with whole_file(path) as file:
        file.write_text(json.dumps(errors, indent=1) + "\n")
    _table.cache_clear()


def kept(method: str) -> dict:
    """The stored errors of a rung, as in ``row_errors.json``."""
    return _table()[method]


def weight(method: str) -> Interval:
    """Relative errors of ``softmax_exp`` for t in [-17, 0], against its value at 0."""
    return Interval(*kept(method)["weight"])


def exp(method: str) -> Interval:
    """Relative errors of exp for t in [-17, 0]."""
    return Interval(*kept(method)["exp"])


def monotone(method: str) -> bool:
    """Whether ``softmax_exp`` never falls as t <= 0 rises."""
    return kept(method)["monotone"]


def tie(method: str) -> float:
    """How far apart, in ulp, exact probabilities near the maximum with equal results may be.

    The ulp is that of the result, which differs from the exact value by its error (statement 9).
    """
    return kept(method)["tie"] * weight(method).ratio


def rounding(length: int = ROW) -> float:
    """The part of a probability's relative error that comes from float32 rounding (statement 6)."""
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
    """The largest error of attention's output, in units of max |v| (statement 8).

    For exact scores. Scores with an error of up to eta add at most eta.
    """
    return 2 * total_variation(method) + math.expm1(rounding(keys)) + keys * UNIT


class _Contract(TypedDict):
    relative: float
    absolute: float


class RowBound(_Contract, total=False):
    """The numbers of the error contract, and for softmax two further guarantees."""

    monotone: bool
    probability: float


def softmax(method: str, length: int = ROW) -> RowBound:
    """The numbers of the error contract for rows of up to ``length`` elements, on a rung."""
    grown = math.exp(rounding(length))
    return {
        "relative": weight(method).ratio * grown - 1,
        "absolute": UNIT,
        "monotone": monotone(method),
        "probability": probability(method) + grown - 1 + UNIT,
    }


def log_softmax(method: str, length: int = ROW) -> RowBound:
    """As :func:`softmax`, without the largest error of a probability."""
    return {"relative": 4 * UNIT, "absolute": _of_log_of_sum(method, length), "monotone": True}


def logsumexp(method: str, length: int = ROW) -> RowBound:
    """As :func:`softmax`, with the two numbers of the error contract only."""
    absolute = _of_log_of_sum(method, length) + 3 * UNIT * math.log(length)
    return {"relative": 2 * UNIT, "absolute": absolute}


def _of_log_of_sum(method: str, length: int) -> float:
    d = exp(method)
    return max(math.log1p(d.high), -math.log1p(d.low)) + rounding(length)
