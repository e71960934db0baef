"""Compile kernels on all cores of this machine, each to its own library. Knows no runner."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tvm

from ..errors import QuakeError
from ..support import toolchain
from ..support.worker import Worker, WorkerError
from ..support.worker_pool import Pool
from ..tvm_version import tir
from .signature import Signature, signature

# The kernel's name in its library.
NAME = "kernel"
# Seconds for one kernel. The largest take three; a candidate that unrolls all loops may take much
# longer and is dropped.
DEADLINE = 30.0


@dataclass(frozen=True)
class Library:
    """A compiled kernel."""

    path: Path
    signature: Signature


class Compiler:
    """Compiles kernels for a target.

    Raises
    ------
    QuakeError
        If there is no linker for the target.
    """

    def __init__(self, target: tvm.target.Target) -> None:
        toolchain.linker(target)
        self._target = str(target)
        self._pool = Pool("quake_tvm.tuning.compile_session", os.cpu_count() or 1)

    def compile(
        self, kernels: Sequence[tir.PrimFunc], folder: str
    ) -> Iterator[tuple[int, Library | str]]:
        """Yield each kernel's index and its library in the folder, or an error message."""

        def work(worker: Worker, item: tuple[int, tir.PrimFunc]) -> Library | str:
            n, kernel = item
            library = Path(folder) / f"{n}.so"
            try:
                wants = signature(kernel)
            except QuakeError as error:
                return str(error)
            request = tvm.ir.save_json(kernel), self._target, str(library), NAME
            worker.ask(DEADLINE, "compile", *request)
            return Library(library, wants)

        for n, result in self._pool.each(work, list(enumerate(kernels))):
            yield n, f"cannot be compiled: {result}" if isinstance(result, WorkerError) else result

    def close(self) -> None:
        """End the workers. Calling it again has no effect."""
        self._pool.close()
