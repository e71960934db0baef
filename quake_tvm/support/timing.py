"""Interleaved timing: calibrated rounds, medians and their spread. Knows clocks only.

Every contender is timed once in every round, and each round begins with another contender. So
disturbances by other programs affect all contenders alike. Ratios are computed within a round.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Seconds that a contender's calls should last in a round.
TURN = 0.01
# A slow contender stops after BUDGET seconds in total, but takes part in at least FEWEST rounds.
BUDGET, FEWEST = 1.0, 3
# The most calls in a turn, however short they are.
MOST_CALLS = 1 << 16

# Number of calls to seconds per call.
Clock = Callable[[int], float]


def cpu_clock(call: Callable[[], object]) -> Clock:
    """A clock of this process's CPU time for one call."""

    def clock(number: int) -> float:
        start = time.process_time()
        for _ in range(number):
            call()
        return (time.process_time() - start) / number

    return clock


def evaluator_clock(run: Callable[[int], object]) -> Clock:
    """A clock of this process's CPU time for one of the calls that TVM's evaluator makes.

    ``run(number)`` lets it make so many; TVM calls once more before.
    """

    def clock(number: int) -> float:
        start = time.process_time()
        run(number)
        return (time.process_time() - start) / (number + 1)

    return clock


@dataclass(frozen=True)
class Timer:
    """How a contender is timed.

    Attributes
    ----------
    clock : callable
        Times the work.
    overhead : callable, optional
        Times a call with almost no work. Measured in the same turn and subtracted.
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
        """The spread of a sample; None for an empty sample."""
        if not values:
            return None
        low, median, high = np.percentile(values, (25, 50, 75))
        return Spread(float(median), float(low), float(high))


def calibrate(clock: Clock) -> tuple[int, float]:
    """The number of calls that fill a turn, and their total time in seconds."""
    clock(1)  # the first call may take long
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
        A slow contender, whose turns would exceed the budget, takes part in fewer rounds.
    rest : float
        Seconds of pause before each turn, in which the previous contender's threads stop spinning.

    Returns
    -------
    dict of name to list of float
        Seconds per call, one figure for each round.
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
                timers[name](1)  # bring its data back into the caches
            seconds[name].append(timers[name](number))
    return seconds


def ratio(seconds: Sequence[float], base: Sequence[float]) -> Spread | None:
    """Time divided by the base's time, per round; None if the base's time is lost in noise."""
    pairs = zip(seconds, base, strict=False)  # a slow contender has fewer rounds
    return Spread.of([a / b for a, b in pairs if b > 0])
