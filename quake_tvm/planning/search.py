"""Choose a rung for each site: the least time within an allowance, assuming that errors add up.

Knows numbers only: no model, no rung by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# The allowance is divided into so many equal parts; errors are rounded up to whole parts.
PARTS = 2000


@dataclass(frozen=True)
class RungCost:
    """A rung for a site: the error that it adds, and the time that it takes."""

    error: float
    time: float


def without_small_gains(offers: Sequence[RungCost], worth: float) -> list[RungCost]:
    """The offers, with small gains in time over a more accurate offer removed.

    Parameters
    ----------
    offers : sequence of RungCost
        The least accurate first.
    worth : float
        The smallest gain that counts, as a share of the time.

    Returns
    -------
    list of RungCost
        The same errors. The time is that of the best more accurate offer, if the gain is smaller.
    """
    kept: list[RungCost] = []
    best = None
    for offer in reversed(offers):
        if best is None or offer.time < best * (1 - worth):
            best = offer.time
        kept.insert(0, RungCost(offer.error, best))
    return kept


def cheapest(sites: Sequence[Sequence[RungCost]], allowance: float) -> list[int] | None:
    """The index of an offer for each site: the least total time, then the least error.

    Parameters
    ----------
    sites : sequence of sequences of RungCost
    allowance : float
        The largest sum of errors.

    Returns
    -------
    list of int or None
        None if no choice fits.

    Notes
    -----
    The multiple-choice knapsack problem, by dynamic programming over ``PARTS`` parts of the
    allowance.
    """
    part = allowance / PARTS
    # Parts spent to (time, error, choices). Each state is better than all states with fewer parts.
    states: dict[int, tuple[float, float, tuple[int, ...]]] = {0: (0.0, 0.0, ())}
    for offers in sites:
        reached: dict[int, tuple[float, float, tuple[int, ...]]] = {}
        for spent, (time, error, chosen) in states.items():
            for n, offer in enumerate(offers):
                if offer.error > allowance:
                    continue
                parts = spent + (_ceil(offer.error / part) if offer.error > 0 else 0)
                state = (time + offer.time, error + offer.error, (*chosen, n))
                if parts <= PARTS and (parts not in reached or state[:2] < reached[parts][:2]):
                    reached[parts] = state
        states, best = {}, None
        for parts in sorted(reached):
            if best is None or reached[parts][:2] < best:
                states[parts], best = reached[parts], reached[parts][:2]
    if not states:
        return None
    return list(min(states.values())[2])


def _ceil(value: float) -> int:
    return int(-(-value // 1))
