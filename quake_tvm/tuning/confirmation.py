"""Confirm that a candidate is better than what it replaces, by two runs side by side.

A single timing is off by a few hundredths, and the best of many is the luckiest. What is counted
and not timed comes out the same again, so once is enough. Knows a runner, no search.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..schedules.space import Candidate
from .runner import Runner

# How much less a candidate must cost, over so many rounds.
BETTER, ROUNDS = 0.99, 15


@dataclass(frozen=True)
class Improvement:
    """A candidate that has won, as the comparison says that went worse for it.

    Attributes
    ----------
    candidate : Candidate
        Without threads as the rule has them: for other sizes the rule knows better.
    gain, ratio : float
        What it costs over what it replaces, and over the rule's own.
    rule : float
        What the rule's own has cost beside it.
    """

    candidate: Candidate
    gain: float
    ratio: float
    rule: float


def confirm(
    runner: Runner, own: Candidate, best: Candidate | None, challengers: Sequence[Candidate]
) -> Improvement | None:
    """The best of the challengers, if it is better than what is best so far.

    Parameters
    ----------
    runner : Runner
    own : Candidate
        The rule's.
    best : Candidate or None
        None if that is the rule's, too.
    challengers : sequence of Candidate
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
    # Loaded anew and the other way round: where in memory things come to lie counts.
    turn = [challenger, *reversed(before)]
    timed = runner.compare([c.function for c in turn], ROUNDS)[::-1]
    if not all(timed):
        return None
    second = _improvement(challenger, timed[:-1], timed[-1])
    return None if second.gain > BETTER else max(first, second, key=lambda each: each.ratio)


def _carried(candidate: Candidate, own: Candidate) -> Candidate:
    """The candidate as a record is to have it."""
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
