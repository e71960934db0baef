"""How much memory the virtual machine's pool keeps for shapes that it has seen.

The pool keeps what a run has freed, by its exact size, and gives nothing back by itself: with every
new shape it would grow. It is emptied when it has served ``SHAPES`` shapes, so that it never holds
more than that many times what the largest run takes. Knows a model's description only.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import tvm_ffi

from .description import Described

SHAPES = 8
# The runtime's function that gives back what is in the pool and not in use.
EMPTY = "vm.builtin.memory_manager.clear"


class MemoryPool:
    """Empties the runtime's pool in time.

    Parameters
    ----------
    empty : callable
        Gives back what is in the pool and not in use: the runtime's
        ``vm.builtin.memory_manager.clear``.
    every_run : bool
        Whether the sizes inside a model depend on data, so that every run is a new shape.
    """

    def __init__(self, empty: Callable[[], object], every_run: bool = False) -> None:
        self._empty, self._every_run = empty, every_run
        self._served: set[Hashable] = set()

    @staticmethod
    def of(model: Described) -> "MemoryPool | None":
        """That of a model on this machine; None for one whose sizes are all fixed."""
        dynamic = any(isinstance(n, str) for i in model.inputs for n in i.shape)
        if not dynamic and not model.sizes_depend_on_data:
            return None
        return MemoryPool(tvm_ffi.get_global_func(EMPTY), model.sizes_depend_on_data)

    def serve(self, arrays: Sequence[np.ndarray]) -> None:
        """Make room for a run with these inputs."""
        shapes: Hashable = object() if self._every_run else tuple(a.shape for a in arrays)
        if shapes in self._served:
            return
        if len(self._served) >= SHAPES:
            self._served.clear()
            self._empty()
        self._served.add(shapes)
