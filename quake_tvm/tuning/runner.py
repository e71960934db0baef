"""The interface of runners, which measure candidates, and their results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..tvm_version import tir


@dataclass(frozen=True)
class Timing:
    """The result of measuring one scheduled kernel.

    Attributes
    ----------
    cost : float or None
        The cost of a call in the runner's ``unit``, as a median of several; None if the kernel
        failed.
    error : str
        The reason for a failure, in one line.
    digest : str
        A hash of the outputs, to check that two schedules of a kernel compute the same. The inputs
        depend only on the parameters' shapes and dtypes. Empty if the kernel failed.
    """

    cost: float | None
    error: str = ""
    digest: str = ""


class Runner(Protocol):
    """Measures kernels: on this machine, on boards, or by counting instructions.

    Attributes
    ----------
    measured : {"clock", "board", "static"}
        How the runner measures, in the word that records use.
    unit : {"s", "cycles", "instructions"}
        The unit of costs.
    sees_threads : bool
        Whether costs reflect the number of threads.
    """

    measured: str
    unit: str
    sees_threads: bool

    @property
    def batch(self) -> int:
        """How many kernels should be passed to :meth:`measure` together."""
        ...

    def measure(self, kernels: Sequence[tir.PrimFunc]) -> Iterator[tuple[int, Timing]]:
        """Yield each kernel's index and its timing, in the order in which they finish.

        Kernels are scheduled PrimFuncs with static shapes. If a kernel fails, its timing has the
        error.

        Raises
        ------
        QuakeError
            If nothing can be measured any more: no board is left, or a tool is missing.
        """
        ...

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """The cost of a call of each kernel in every round, interleaved on one machine.

        The list of a kernel that fails is empty. If a kernel fails only during the rounds, all
        lists may be empty. Runners that count return one figure per kernel.

        Raises
        ------
        QuakeError
            As :meth:`measure`.
        """
        ...

    def close(self) -> None:
        """Release all resources. Calling it again has no effect."""
        ...
