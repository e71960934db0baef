"""Count a kernel's instructions in QEMU instead of timing it, for an absent machine."""

import os
from collections.abc import Iterator, Sequence

import tvm

from ..emulation import count
from ..emulation.cost import tools
from ..support.scratch import Scratch
from ..support.worker import Worker, WorkerError
from ..support.worker_pool import Pool
from ..tvm_version import tir
from .compilation import NAME, Compiler, Library
from .runner import Timing

# Seconds for one kernel, which is run four times: enough for some billion instructions, a hundred
# times as many as the largest layer of a small model executes.
DEADLINE = 60.0
# The instructions of a candidate whose cycles are modelled: this takes a second and has an error of
# a few percent. Comparisons use the default sample.
SAMPLE = 20_000


class StaticRunner:
    """A :class:`Runner` that counts. The figures are the same every time, on any host.

    Costs are cycles by llvm-mca, whose model has no branch mispredictions and no cache misses, or
    executed instructions if llvm-mca has no model. Parallel loops are counted on one thread.

    Parameters
    ----------
    target : tvm.target.Target

    Raises
    ------
    QuakeError
        If an emulator, a cross-compiler or llvm-mca is missing.
    """

    measured = "static"
    sees_threads = False
    batch = 16

    def __init__(self, target: tvm.target.Target) -> None:
        self.unit = "instructions" if tools(target)["model"] is None else "cycles"
        self._target = str(target)
        self._compiler = Compiler(target)
        self._pool = Pool("quake_tvm.tuning.count_session", os.cpu_count() or 1)

    def measure(self, kernels: Sequence[tir.PrimFunc]) -> Iterator[tuple[int, Timing]]:
        """Count several kernels at once; as in :class:`Runner`."""
        return self._counted(kernels, SAMPLE)

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """One figure per kernel, whatever the rounds; as in :class:`Runner`."""
        found = dict(self._counted(kernels, count.SAMPLE))
        costs = (found[n].cost for n in range(len(kernels)))
        return [[] if cost is None else [cost] for cost in costs]

    def close(self) -> None:
        """End all workers. Calling it again has no effect."""
        self._compiler.close()
        self._pool.close()

    def _counted(
        self, kernels: Sequence[tir.PrimFunc], sample: int
    ) -> Iterator[tuple[int, Timing]]:
        def work(worker: Worker, library: Library) -> Timing:
            wants = library.signature
            request = str(library.path), NAME, wants.inputs, wants.outputs, self._target, sample
            cost, digest = worker.ask(DEADLINE, "cost", *request)
            return Timing(cost, digest=digest)

        with Scratch() as folder:
            built: list[tuple[int, Library]] = []
            for n, library in self._compiler.compile(kernels, folder):
                if isinstance(library, str):
                    yield n, Timing(None, library)
                else:
                    built.append((n, library))
            for place, found in self._pool.each(work, [library for _, library in built]):
                if isinstance(found, WorkerError):
                    found = Timing(None, f"the kernel cannot be counted: {found}")
                yield built[place][0], found
