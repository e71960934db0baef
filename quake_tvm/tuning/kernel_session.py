"""Compiled kernels run and timed, in a worker's process: on this machine, or on a board.

Knows TVM's runtime only: the compiler is not loaded.
"""

import statistics
from typing import NamedTuple

from tvm import runtime

from ..boards.session import BoardSession, explain
from ..kernels.arguments import Description, digest, examples
from ..support import worker

# TVM's own function that flushes all arrays but the first.
FLUSH = "cache_flush_cpu_non_first_arg"


class Kernel(NamedTuple):
    """A kernel where it runs, and what it is called with."""

    module: runtime.Module
    name: str
    arrays: list[runtime.Tensor]
    cold: bool

    def time(self, repeat: int, milliseconds: int) -> list[float]:
        """Seconds of a call: a figure for each repeat, which takes so long or one call.

        Warm; but where :class:`Signature` says cold, all but the first array is flushed from the
        caches before each call, and a repeat's figure is the median of its calls.
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
    """Kernels, by number, in this process or, once it is connected to a board, there."""

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
        """Load a kernel's library and run the kernel.

        Returns
        -------
        int
            Its number.
        float
            Seconds of a call.
        str
            The digest of what it has written.
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
        """As :meth:`Kernel.time`."""
        return self._kernels[number].time(repeat, milliseconds)

    def leave(self) -> None:
        """Unload the kernels, and leave the board, if there is one, to the next client."""
        self._kernels.clear()
        self._session = None


if __name__ == "__main__":
    worker.limit_memory()
    worker.serve(KernelSession(), explain)
