"""The cheapest choice of rungs whose error, as measured, stays within an aim.

Sites in one kernel are a group and share a rung. Knows calls and rungs, no model and no plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..numerics.ladder import METHODS
from ..schedules.records.book import WORTH
from .calibration import Calibration
from .probe import BASE
from .search import RungCost, cheapest, without_small_gains

# Choices to measure at most, in search of what errors really add up to.
ATTEMPTS = 8
# Calls of kernels that share a rung.
Calls = tuple[int, ...]


@dataclass(frozen=True)
class Chosen:
    """A rung for each group.

    Attributes
    ----------
    methods : list of str
    predicted, measured : float
        The groups' own errors together, beside that of the highest rung; the choice's.
    seconds : float
        What its kernels take more than on the highest rung.
    """

    methods: list[str]
    predicted: float
    measured: float
    seconds: float


def choose(
    calibration: Calibration,
    groups: Sequence[Calls],
    times: Mapping[int, Mapping[str, float]],
    error: float,
    aim: float,
) -> Chosen:
    """The cheapest choice that is found, all on the highest rung if there is no other.

    Parameters
    ----------
    calibration : Calibration
    groups : sequence of tuples of calls
    times : mapping of call to rung to seconds
    error : float
        Of the highest rung for all.
    aim : float
        What the error may come to.

    Notes
    -----
    Errors of sites are independent, and add up to less than their sum: the allowance is raised as
    long as what is chosen keeps within the aim, lowered where it does not, and halved in between.
    """
    offers = [_offers(calibration, calls, times) for calls in groups]
    fastest = sum(min(o.time for o in group) - group[-1].time for group in offers)
    best = Chosen([BASE] * len(groups), error, error, 0.0)
    low, high, share = 0.0, None, 1.0
    tried: dict[tuple[int, ...], float] = {}
    for _ in range(ATTEMPTS):
        picks = cheapest(offers, (aim - error) * share)
        if picks is None:
            break
        if tuple(picks) not in tried:
            rungs = {c: METHODS[n] for calls, n in zip(groups, picks, strict=True) for c in calls}
            tried[tuple(picks)] = calibration.error(rungs)
        measured = tried[tuple(picks)]
        chosen = [group[n] for group, n in zip(offers, picks, strict=True)]
        if measured <= aim:
            low = share
            gains = (o.time - group[-1].time for o, group in zip(chosen, offers, strict=True))
            seconds = sum(gains)
            if seconds < best.seconds:
                predicted = error + sum(o.error for o in chosen)
                best = Chosen([METHODS[n] for n in picks], predicted, measured, seconds)
            if seconds == fastest:
                break
        else:
            high = share
        share = 2 * low if high is None else (low + high) / 2
    return best


def one_rung(
    groups: Sequence[Calls], times: Mapping[int, Mapping[str, float]], method: str, error: float
) -> Chosen:
    """The same rung for all, whose error is known."""
    gains = (times[call][method] - times[call][BASE] for calls in groups for call in calls)
    return Chosen([method] * len(groups), error, error, sum(gains))


def _offers(
    calibration: Calibration, calls: Calls, times: Mapping[int, Mapping[str, float]]
) -> list[RungCost]:
    found = []
    for method in METHODS:
        added = 0.0 if method == BASE else calibration.added(dict.fromkeys(calls, method))
        found.append(RungCost(added, sum(times[call][method] for call in calls)))
    return without_small_gains(found, WORTH)
