"""Choose the cheapest rungs whose measured error stays within a limit.

Sites in one kernel form a group and share a rung. Knows calls and rungs, no model and no plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..numerics.ladder import METHODS
from ..schedules.records.book import WORTH
from .calibration import Calibration
from .probe import BASE
from .search import RungCost, cheapest, without_small_gains

# The most choices to measure, to find out how errors add up.
ATTEMPTS = 8
# The kernel calls of a group, which share a rung.
Calls = tuple[int, ...]


@dataclass(frozen=True)
class Chosen:
    """A rung for each group.

    Attributes
    ----------
    methods : list of str
    predicted, measured : float
        The error predicted as the sum of the groups' errors and of the highest rung's error, and
        the measured error of the choice.
    seconds : float
        The time of its kernels minus their time on the highest rung.
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
    """The cheapest choice found; the highest rung for all groups if there is no other.

    Parameters
    ----------
    calibration : Calibration
    groups : sequence of tuples of calls
    times : mapping of call to rung to seconds
    error : float
        The error with the highest rung for all groups.
    aim : float
        The largest error allowed.

    Returns
    -------
    Chosen

    Notes
    -----
    The errors of sites are independent, so together they are smaller than their sum. The allowance
    for
    the sum is therefore varied: it is doubled while the measured error of the choice is within the
    aim,
    and then bisected between allowances that were too small and too large.
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
    """The choice of the same rung for all groups.

    Parameters
    ----------
    groups, times
        As for :func:`choose`.
    method : str
        The rung.
    error : float
        The measured error with this rung for all groups.
    """
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
