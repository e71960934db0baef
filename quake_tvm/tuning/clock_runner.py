"""Time kernels on this machine, in sequence and while nothing compiles."""

import os
from collections.abc import Iterator, Sequence

import tvm

from ..errors import QuakeError
from ..machines.targets import runs_here
from ..support.scratch import Scratch
from ..support.worker import Worker, WorkerError
from ..tvm_version import tir
from . import stopwatch
from .compilation import Compiler, Library
from .runner import Timing

# Seconds for a step that takes none to speak of, on a machine that is busy with other things: what
# is not done by then never ends.
DEADLINE = 60.0


class ClockRunner:
    """A :class:`Runner`. A kernel that hangs, crashes or eats memory spoils its own timing only.

    Kernels run on as many threads as ``TVM_NUM_THREADS`` says, or else as the target has cores.

    Parameters
    ----------
    target : tvm.target.Target

    Raises
    ------
    QuakeError
        If this machine does not run the target's code, or has no linker.
    """

    measured, unit = "clock", "s"
    # Enough to keep all cores compiling, and few enough to learn something in between.
    batch = 16

    def __init__(self, target: tvm.target.Target) -> None:
        if not runs_here(target):
            raise QuakeError(
                "this machine does not run the target's code: "
                "give a tracker and the key of its boards, or have instructions counted"
            )
        self._compiler = Compiler(target)
        cores = target.attrs.get("num-cores", os.cpu_count())
        self._threads = os.environ.get("TVM_NUM_THREADS", str(cores))
        self.sees_threads = self._threads != "1"
        self._worker: Worker | None = None

    def measure(self, kernels: Sequence[tir.PrimFunc]) -> Iterator[tuple[int, Timing]]:
        """Compile all, then time one after the other; as in :class:`Runner`."""
        with Scratch() as folder:
            for n, library in list(self._compiler.compile(kernels, folder)):
                yield n, self._timing(library)

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """In turns in one process; as in :class:`Runner`."""
        with Scratch() as folder:
            libraries = dict(self._compiler.compile(kernels, folder))
            sound = {
                n: library
                for n, library in libraries.items()
                if isinstance(library, Library) and not self._timing(library).error
            }
            chosen = [sound.get(n) for n in range(len(kernels))]
            try:
                return stopwatch.turns(self._ready(), chosen, rounds, DEADLINE)
            except WorkerError:  # of one that went well by itself
                return [[] for _ in kernels]

    def close(self) -> None:
        """End all workers; again is harmless."""
        self._compiler.close()
        if self._worker is not None:
            self._worker.close()

    def _timing(self, library: Library | str) -> Timing:
        if isinstance(library, str):
            return Timing(None, library)
        try:
            return stopwatch.timing(self._ready(), library, DEADLINE)
        except WorkerError as error:
            return Timing(None, f"the kernel fails: {error}")

    def _ready(self) -> Worker:
        if self._worker is None or self._worker.closed:
            self._worker = stopwatch.session(TVM_NUM_THREADS=self._threads)
        return self._worker
