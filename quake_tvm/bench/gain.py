"""What a rung saves of an operator's time on this machine, measured on small kernels.

Knows no model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import tvm

from ..support.timing import Timer, interleave
from . import cases, peers

ROUNDS = 5


@dataclass(frozen=True)
class Gain:
    """Seconds an element with libm's functions, and on the rung. One thread."""

    exact: float
    lowered: float

    @property
    def saved(self) -> float:
        """Seconds that the rung saves for each element."""
        return self.exact - self.lowered


def measure(
    operators: Iterable[str], method: str, target: tvm.target.Target, rounds: int = ROUNDS
) -> dict[str, Gain]:
    """The gain of each operator that has a kernel in :mod:`cases`.

    Parameters
    ----------
    operators : iterable of str
        Others than ``cases.SMALL`` are left out.
    method : str
        A rung.
    target : tvm.target.Target
        Must run on this machine.
    rounds : int
        Interleaved repetitions. The fastest one counts.
    """
    known = [name for name in cases.SMALL if name in set(operators)]
    found = {}
    for case in cases.small(known) if known else []:
        assert case.elements is not None  # only whole models have none
        job = peers.job(case, target, 1)
        timers = {name: Timer(peers.quake(name)(job).clock) for name in (peers.EXACT, method)}
        seconds = interleave(timers, rounds)
        found[case.name] = Gain(*(min(seconds[name]) / case.elements for name in timers))
    return found
