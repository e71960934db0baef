"""Findings for one operator on one rung: over a part of its inputs, or, merged, over all.

Knows the registry; measures nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..numerics.operators import OPERATORS, Bound, bound
from .float32_inputs import SMALLEST_NORMAL


@dataclass(frozen=True)
class Measure:
    """The maximum of an error, the input where it occurs, and the sum over all inputs."""

    largest: float = 0.0
    at: float | None = None
    total: float = 0.0

    def __add__(self, other: "Measure") -> "Measure":
        worse = other if other.largest > self.largest else self
        return replace(worse, total=self.total + other.total)


@dataclass(frozen=True)
class Findings:
    """Errors and counts of an operator on a rung. The sum of two merges two parts of the inputs.

    Attributes
    ----------
    operator, method : str
    absolute_term : float
        The absolute term of the error contract, subtracted from errors before ``relative`` and
        ``ulp``.
    measures : dict of str to Measure
        ``relative``, ``absolute``, ``ulp`` and ``fall``, as defined by
        :class:`statistics.Statistics`.
    counts : dict of str to int
        ``finite``: inputs that the measures cover. ``falls``: violations of monotonicity. ``sign``,
        ``range``: results of the wrong sign, and outside of the exact function's range. ``nan``:
        NaN for a number, or a number for NaN. ``early``, ``late``: infinities where the exact value
        is finite, and finite results where it is infinite. ``odd``: inputs where f(-x) is not
        -f(x). ``special``: wrong results at the infinities and zeros.
    ulps : list of int
        The numbers of inputs with an error in ulp below 1, in [1, 2), in [2, 4), and so on.
    """

    operator: str
    method: str
    absolute_term: float
    measures: Mapping[str, Measure] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    ulps: tuple[int, ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        if not self.counts:
            return other
        return replace(
            self,
            measures={k: v + other.measures[k] for k, v in self.measures.items()},
            counts={k: v + other.counts.get(k, 0) for k, v in self.counts.items()},
            ulps=tuple(a + b for a, b in zip(self.ulps, other.ulps, strict=True)),
        )

    def count(self, what: str, more: int) -> "Findings":
        """A copy with ``more`` added to one count."""
        return replace(self, counts={**self.counts, what: self.counts.get(what, 0) + more})

    def largest(self, measure: str) -> float:
        """The maximum of a measure."""
        return self.measures[measure].largest if self.measures else 0.0

    @property
    def relative(self) -> float:
        """The largest error after subtracting the absolute term, in units of the exact value."""
        return self.largest("relative")

    @property
    def monotone(self) -> bool | None:
        """Whether no larger input gave a smaller result; None if the function is not monotone."""
        return self.counts["falls"] == 0 if OPERATORS[self.operator].rising else None

    def mean(self, measure: str) -> float:
        """The mean of a measure over the inputs whose exact value is finite in float32."""
        return self.measures[measure].total / self.counts["finite"]

    def as_bound(self) -> Bound:
        """The bound that these findings prove: the largest relative error, rounded up."""
        worst = self.measures["relative"]
        return Bound(
            self.operator,
            self.method,
            round_up(worst.largest),
            self.absolute_term,
            worst.at,
            self.monotone,
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: means instead of sums, rounded so that the order of summation is irrelevant."""
        means = {name: float(f"{self.mean(name):.6g}") for name in ("relative", "absolute", "ulp")}
        ulps = list(self.ulps)
        while ulps and not ulps[-1]:
            ulps.pop()
        return {
            "absolute_term": self.absolute_term,
            **{
                name: {"max": m.largest, "at": m.at}
                | ({"mean": means[name]} if name in means else {})
                for name, m in self.measures.items()
            },
            "counts": dict(self.counts),
            "ulps": ulps,
        }


def absolute_term(operator: str, method: str) -> float:
    """The absolute part of the error contract, fixed before the relative part is measured.

    Results below the smallest normal float32 are flushed to zero. Where x multiplies such a result,
    the error is up to 128 times that, for |x| < 128. The relative error of GELU's tail holds only
    down to 2^-10 of its size, so its absolute term is 2^-10 of the rung's error of exp.
    """
    row = OPERATORS[operator]
    if row.tail:
        return bound("exp", method).relative * row.tail
    return SMALLEST_NORMAL * row.largest_factor


def round_up(value: float) -> float:
    """Round up to three significant digits."""
    if value == 0 or not np.isfinite(value):
        return value
    digits = 2 - int(np.floor(np.log10(value)))
    return float(f"{np.ceil(value * 10.0**digits) / 10.0**digits:.3g}")
