"""Choose the cheapest rungs and precisions whose measured error stays within a limit.

Sites in one kernel form a group and share a rung. Knows calls and rungs, no model and no plan.
"""

from collections.abc import Callable, Mapping, Sequence
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


# The index of an offer for each part of the model.
Picks = tuple[int, ...]


@dataclass(frozen=True)
class Chosen:
    """An offer for each part of the model: a group of calls, or a product.

    Attributes
    ----------
    picks : tuple of int
    predicted, measured : float
        The error predicted as the sum of the parts' errors and of the most accurate choice's error,
        and the measured error of the choice.
    seconds : float
        The time of the choice minus that of the most accurate one.
    """

    picks: Picks
    predicted: float
    measured: float
    seconds: float


def choose(
    offers: Sequence[Sequence[RungCost]],
    measure: Callable[[Picks], float],
    error: float,
    aim: float,
) -> Chosen:
    """The cheapest choice found; the most accurate one if there is no other.

    Parameters
    ----------
    offers : sequence of sequences of RungCost
        For each part, the most accurate last.
    measure : callable
        The error of a choice.
    error : float
        The error of the most accurate choice.
    aim : float
        The largest error allowed.

    Returns
    -------
    Chosen

    Notes
    -----
    The errors of parts are independent, so together they are smaller than their sum. The allowance
    for
    the sum is therefore varied: it is doubled while the measured error of the choice is within the
    aim,
    and then bisected between allowances that were too small and too large.
    """
    fastest = sum(min(o.time for o in part) - part[-1].time for part in offers)
    best = Chosen(tuple(len(part) - 1 for part in offers), error, error, 0.0)
    low, high, share = 0.0, None, 1.0
    tried: dict[Picks, float] = {}
    for _ in range(ATTEMPTS):
        found = cheapest(offers, (aim - error) * share)
        if found is None:
            break
        picks = tuple(found)
        if picks not in tried:
            tried[picks] = measure(picks)
        measured = tried[picks]
        if measured <= aim:
            low = share
            seconds = gain(offers, picks)
            if seconds < best.seconds:
                added = (part[n].error for part, n in zip(offers, picks, strict=True))
                best = Chosen(picks, error + sum(added), measured, seconds)
            if seconds == fastest:
                break
        else:
            high = share
        share = 2 * low if high is None else (low + high) / 2
    return best


def gain(offers: Sequence[Sequence[RungCost]], picks: Picks) -> float:
    """The seconds of a choice minus those of the most accurate one."""
    return sum(part[n].time - part[-1].time for part, n in zip(offers, picks, strict=True))


def rung_offers(
    calibration: Calibration, groups: Sequence[Calls], times: Mapping[int, Mapping[str, float]]
) -> list[list[RungCost]]:
    """The error and the time of every rung for each group, the lowest rung first.

    Parameters
    ----------
    calibration : Calibration
    groups : sequence of tuples of calls
    times : mapping of call to rung to seconds
    """
    return [_offers(calibration, calls, times) for calls in groups]


def _offers(
    calibration: Calibration, calls: Calls, times: Mapping[int, Mapping[str, float]]
) -> list[RungCost]:
    found = []
    for method in METHODS:
        added = 0.0 if method == BASE else calibration.added(dict.fromkeys(calls, method))
        found.append(RungCost(added, sum(times[call][method] for call in calls)))
    return without_small_gains(found, WORTH)
