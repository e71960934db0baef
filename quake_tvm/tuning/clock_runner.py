"""Time kernels on this machine, one after another and while nothing compiles."""

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

# Seconds for a step that normally takes almost no time. The limit is generous for a busy machine; a
# step that exceeds it hangs.
DEADLINE = 60.0


class ClockRunner:
    """A :class:`Runner` for this machine.

    A kernel that hangs, crashes or uses too much memory spoils only its own timing. Kernels run on
    ``TVM_NUM_THREADS`` threads, or else on as many as the target has cores.

    Parameters
    ----------
    target : tvm.target.Target

    Raises
    ------
    QuakeError
        If this machine cannot run the target's code, or has no linker.
    """

    measured, unit = "clock", "s"
    # Enough to keep all cores compiling, and few enough for the cost model to learn in between.
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
        """Compile all kernels, then time one after another; as in :class:`Runner`."""
        with Scratch() as folder:
            for n, library in list(self._compiler.compile(kernels, folder)):
                yield n, self._timing(library)

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """Measure in turns in one process; as in :class:`Runner`."""
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
            except WorkerError:  # a kernel failed that worked when it was measured alone
                return [[] for _ in kernels]

    def close(self) -> None:
        """End all workers. Calling it again has no effect."""
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
            self._worker = stopwatch.session(patient=True, TVM_NUM_THREADS=self._threads)
        return self._worker
