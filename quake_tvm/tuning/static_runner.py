"""Count kernels in QEMU instead of timing them, for a machine that is not there."""

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

# Seconds for one kernel, which is run four times: some billion instructions, a hundred times what
# the largest layer of a small model takes.
DEADLINE = 60.0
# Instructions whose cycles are modelled of a candidate: within some hundredths in a second. What is
# compared gets as many as elsewhere.
SAMPLE = 20_000


class StaticRunner:
    """A :class:`Runner` that counts: the same figure every time, on whatever machine.

    Costs are cycles by llvm-mca, where branches are foreseen and loads hit the first-level cache,
    or executed instructions where it has no model. What runs in parallel elsewhere is one thread's.

    Parameters
    ----------
    target : tvm.target.Target

    Raises
    ------
    QuakeError
        For an emulator, a cross-compiler or an llvm-mca that is missing.
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
        """Count, several at once; as in :class:`Runner`."""
        return self._counted(kernels, SAMPLE)

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """One figure each, however many rounds; as in :class:`Runner`."""
        found = dict(self._counted(kernels, count.SAMPLE))
        costs = (found[n].cost for n in range(len(kernels)))
        return [[] if cost is None else [cost] for cost in costs]

    def close(self) -> None:
        """End all workers; again is harmless."""
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
