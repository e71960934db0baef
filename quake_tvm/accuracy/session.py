"""A worker process that measures parts of all float32 inputs, on one core."""

import os
from functools import cache

from ..machines.targets import target
from ..support.worker import serve
from .float32_inputs import every_magnitude
from .sweeps import Part, Sweep


class Session:
    """The worker's end of :mod:`exhaustive`."""

    def __init__(self) -> None:
        # TVM reads these when it starts its threads. The other cores have their own processes.
        os.environ.update(TVM_NUM_THREADS="1", TVM_BIND_THREADS="0")
        self._sweep = cache(lambda operator, methods, on: Sweep(operator, methods, target(on)))

    def part(
        self, operator: str, methods: tuple[str, ...], on: str, first: int, last: int
    ) -> dict[str, Part]:
        """The results for inputs with magnitudes from ``first`` up to ``last``, exclusive."""
        return self._sweep(operator, methods, on).run(every_magnitude(first, last))


if __name__ == "__main__":
    serve(Session())
