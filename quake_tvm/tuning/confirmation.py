"""Confirm that a candidate is better than the current best, by two interleaved comparisons.

A single timing has an error of a few percent, and the best of many candidates is partly luck.
Counted costs are exact, so one comparison is enough. Knows a runner, no search.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..schedules.space import Candidate
from .runner import Runner

# The largest ratio at which a candidate counts as better, and the rounds of a comparison.
BETTER, ROUNDS = 0.99, 15


@dataclass(frozen=True)
class Improvement:
    """A candidate that won both comparisons, with the figures of the less favourable one.

    Attributes
    ----------
    candidate : Candidate
        Without the number of threads if it equals the rule's default: for other sizes the rule
        chooses better.
    gain, ratio : float
        Its cost divided by the cost of what it replaces, and by the cost of the rule's default.
    rule : float
        The cost of the rule's default in the same comparison.
    """

    candidate: Candidate
    gain: float
    ratio: float
    rule: float


def confirm(
    runner: Runner, own: Candidate, best: Candidate | None, challengers: Sequence[Candidate]
) -> Improvement | None:
    """The best of the challengers if it is better than the current best, otherwise None.

    Parameters
    ----------
    runner : Runner
    own : Candidate
        The rule's default.
    best : Candidate or None
        The current best; None if it is the rule's default.
    challengers : sequence of Candidate

    Returns
    -------
    Improvement or None
    """
    before = [own] if best is None else [own, best]
    timed = runner.compare([c.function for c in (*before, *challengers)], ROUNDS)
    incumbents, figures = timed[: len(before)], timed[len(before) :]
    won = min(
        (n for n in range(len(figures)) if figures[n]),
        key=lambda n: statistics.median(figures[n]),
        default=None,
    )
    if won is None or not all(incumbents):
        return None
    challenger = _carried(challengers[won], own)
    first = _improvement(challenger, incumbents, figures[won])
    if first.gain > BETTER:
        return None
    if len(figures[won]) == 1:  # counted
        return first
    # Load the kernels again in reverse order: their places in memory affect the time.
    turn = [challenger, *reversed(before)]
    timed = runner.compare([c.function for c in turn], ROUNDS)[::-1]
    if not all(timed):
        return None
    second = _improvement(challenger, timed[:-1], timed[-1])
    return None if second.gain > BETTER else max(first, second, key=lambda each: each.ratio)


def _carried(candidate: Candidate, own: Candidate) -> Candidate:
    """The candidate in the form in which it is recorded."""
    numbers = {
        name: number
        for name, number in candidate.numbers.items()
        if name != "parallel" or number != own.numbers[name]
    }
    return replace(candidate, numbers=numbers)


def _improvement(
    candidate: Candidate, before: Sequence[Sequence[float]], figures: Sequence[float]
) -> Improvement:
    rule, best = before[0], before[-1]
    return Improvement(
        candidate, _ratio(figures, best), _ratio(figures, rule), statistics.median(rule)
    )


def _ratio(seconds: Sequence[float], base: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(seconds, base, strict=True))
