"""What measures candidates: the interface that the search knows, and what it gets back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..tvm_version import tir


@dataclass(frozen=True)
class Timing:
    """What came of one scheduled kernel.

    Attributes
    ----------
    cost : float or None
        A call's, in the runner's ``unit``, the median of several; None if it failed.
    error : str
        Why, in a line.
    digest : str
        Of its outputs for inputs that follow from the parameters' shapes and dtypes alone, so that
        two schedules of a kernel can be told apart by what they compute; empty if it failed.
    """

    cost: float | None
    error: str = ""
    digest: str = ""


class Runner(Protocol):
    """Measures kernels: on this machine, on boards, or by counting instructions.

    Attributes
    ----------
    measured : {"clock", "board", "static"}
        How, as records say it.
    unit : {"s", "cycles", "instructions"}
        What costs are in.
    sees_threads : bool
        Whether costs show what threads gain.
    """

    measured: str
    unit: str
    sees_threads: bool

    @property
    def batch(self) -> int:
        """How many kernels are worth handing over together."""
        ...

    def measure(self, kernels: Sequence[tir.PrimFunc]) -> Iterator[tuple[int, Timing]]:
        """Each kernel's place in the sequence and its timing, in any order, as they are known.

        Kernels are scheduled PrimFuncs with constant shapes. What is wrong with one of them is said
        in its timing.

        Raises
        ------
        QuakeError
            If nothing can be measured any more: no board is left, a tool is missing.
        """
        ...

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """A call's cost of each kernel in every round, taken in turns on one and the same machine.

        An empty list for a kernel that fails, and for all if one fails only in its turn; one
        figure each where they are counted, not timed.

        Raises
        ------
        QuakeError
            As :meth:`measure`.
        """
        ...

    def close(self) -> None:
        """End whatever was started; again is harmless."""
        ...
