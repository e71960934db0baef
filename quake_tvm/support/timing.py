"""Interleaved timing: calibrated rounds, medians and their spread. Knows clocks only.

Every contender has its turn in every round, each round beginning with another one, so that
whatever else the machine does falls on all alike; ratios are taken within a round.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Seconds that a contender's calls should last in a round.
TURN = 0.01
# Seconds of turns after which a slow contender leaves, and the rounds it takes part in at least.
BUDGET, FEWEST = 1.0, 3
# A turn has no more calls than that, however short they are.
MOST_CALLS = 1 << 16

# Given a number of calls, seconds a call.
Clock = Callable[[int], float]


@dataclass(frozen=True)
class Timer:
    """How a contender is timed.

    Attributes
    ----------
    clock : callable
        Times the work.
    overhead : callable, optional
        Times a call with next to no work in it: measured in the same turn and taken off.
    """

    clock: Clock
    overhead: Clock | None = None

    def __call__(self, number: int) -> float:
        seconds = self.clock(number)
        return seconds - self.overhead(number) if self.overhead else seconds


@dataclass(frozen=True)
class Spread:
    """The median of a sample and its quartiles."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread | None":
        """None for an empty sample."""
        if not values:
            return None
        low, median, high = np.percentile(values, (25, 50, 75))
        return Spread(float(median), float(low), float(high))


def calibrate(clock: Clock) -> tuple[int, float]:
    """How many calls fill a turn, and how many seconds they take together."""
    number = 1
    seconds = clock(number)
    while number * seconds < TURN / 4 and number < MOST_CALLS:
        number *= 4
        seconds = clock(number)
    if seconds > 0:
        number = min(MOST_CALLS, max(1, round(TURN / seconds)))
    return number, number * seconds


def interleave(
    timers: Mapping[str, Timer], rounds: int, rest: float = 0.0
) -> dict[str, list[float]]:
    """Time all contenders in turn.

    Parameters
    ----------
    timers : mapping of name to Timer
    rounds : int
        A contender whose turns would outlast the budget takes part in the first of them only.
    rest : float
        Seconds before each turn, in which the threads of the one before stop spinning.

    Returns
    -------
    dict of name to list of float
        Seconds a call, one figure for each round.
    """
    plans = {}
    for name, timer in timers.items():
        number, turn = calibrate(timer.clock)
        affordable = int(BUDGET / turn) if turn > 0 else rounds
        plans[name] = number, min(rounds, max(FEWEST, affordable))
    names = list(timers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for n in range(rounds):
        start = n % len(names)
        for name in names[start:] + names[:start]:
            number, last = plans[name]
            if n >= last:
                continue
            time.sleep(rest)
            if number > 1:
                timers[name](1)  # back into the caches
            seconds[name].append(timers[name](number))
    return seconds


def ratio(seconds: Sequence[float], base: Sequence[float]) -> Spread | None:
    """Time over the base's time, round by round; None where the base's is lost in noise."""
    pairs = zip(seconds, base, strict=False)  # a slow contender has fewer rounds
    return Spread.of([a / b for a, b in pairs if b > 0])
