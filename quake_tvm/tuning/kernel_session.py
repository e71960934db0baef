"""Runs and times compiled kernels, in a worker process: on this machine or on a board.

Knows TVM's runtime only: the compiler is not loaded.
"""

import statistics
from typing import NamedTuple

from tvm import runtime

from ..boards.session import BoardSession, explain
from ..kernels.arguments import Description, digest, examples
from ..support import worker

# TVM's function that flushes all arrays except the first from the caches.
FLUSH = "cache_flush_cpu_non_first_arg"


class Kernel(NamedTuple):
    """A loaded kernel and its arguments."""

    module: runtime.Module
    name: str
    arrays: list[runtime.Tensor]
    cold: bool

    def time(self, repeat: int, milliseconds: int) -> list[float]:
        """Seconds per call, one figure per repeat.

        A repeat lasts ``milliseconds``, or one call if that is longer. The caches are warm, unless
        :class:`Signature` says cold. Then all arrays except the first are flushed from the caches
        before each call, and a repeat's figure is the median of its calls.
        """
        if not self.cold:
            return self._timed(1, repeat, min_repeat_ms=milliseconds)
        (once,) = self._timed(1, 1, f_preproc=FLUSH)
        calls = max(1, int(milliseconds / 1000 / once))
        each = self._timed(1, repeat * calls, f_preproc=FLUSH)
        return [statistics.median(each[n::repeat]) for n in range(repeat)]

    def _timed(self, number: int, repeat: int, **how: object) -> list[float]:
        timer = self.module.time_evaluator(
            self.name, self.arrays[0].device, number=number, repeat=repeat, **how
        )
        return list(timer(*self.arrays).results)


class KernelSession(BoardSession):
    """Kernels by number, in this process or, after connecting, on a board."""

    def __init__(self) -> None:
        super().__init__()
        self._kernels: list[Kernel] = []

    def load(
        self,
        path: str,
        name: str,
        inputs: list[Description],
        outputs: list[Description],
        cold: bool,
    ) -> tuple[int, float, str]:
        """Load a kernel's library and run the kernel once.

        Parameters
        ----------
        path, name : str
            The library's path, and the kernel's name in it.
        inputs, outputs : list of (shape, dtype)
        cold : bool
            As in :class:`Signature`.

        Returns
        -------
        int
            The kernel's number.
        float
            Seconds per call.
        str
            The digest of its outputs.
        """
        number = len(self._kernels)
        if self._session is None:
            module, device = runtime.load_module(path), runtime.cpu()
        else:
            module, device = self._upload(path, f"kernel{number}.so"), self._session.cpu()
        arrays = [runtime.tensor(array, device) for array in examples([*inputs, *outputs])]
        kernel = Kernel(module, name, arrays, cold)
        (seconds,) = kernel.time(1, 0)
        found = digest(array.numpy() for array in arrays[len(inputs) :])
        self._kernels.append(kernel)
        return number, seconds, found

    def time(self, number: int, repeat: int, milliseconds: int) -> list[float]:
        """As :meth:`Kernel.time`, for a kernel by its number."""
        return self._kernels[number].time(repeat, milliseconds)

    def leave(self) -> None:
        """Unload the kernels, and release the board if there is one."""
        self._kernels.clear()
        self._session = None


if __name__ == "__main__":
    worker.limit_memory()
    worker.serve(KernelSession(), explain)
