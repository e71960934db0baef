"""Limit the memory that the virtual machine's pool keeps for input shapes of earlier runs.

The pool keeps freed memory by its exact size and returns nothing by itself, so it would grow with
every new shape. It is emptied after ``SHAPES`` different shapes. So it never holds more than
``SHAPES`` times the memory of the largest run. Knows a model's description only.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import tvm_ffi

from .description import Described

SHAPES = 8
# The runtime's function that frees the pool's unused memory.
EMPTY = "vm.builtin.memory_manager.clear"


class MemoryPool:
    """Empties the runtime's pool after ``SHAPES`` different input shapes.

    Parameters
    ----------
    empty : callable
        Frees the pool's unused memory: the runtime's ``vm.builtin.memory_manager.clear``.
    every_run : bool
        Whether the sizes inside a model depend on data, so that every run counts as a new shape.
    """

    def __init__(self, empty: Callable[[], object], every_run: bool = False) -> None:
        self._empty, self._every_run = empty, every_run
        self._served: set[Hashable] = set()

    @staticmethod
    def of(model: Described) -> "MemoryPool | None":
        """The pool of a model on this machine; None for a model whose sizes are all static."""
        dynamic = any(isinstance(n, str) for i in model.inputs for n in i.shape)
        if not dynamic and not model.sizes_depend_on_data:
            return None
        return MemoryPool(tvm_ffi.get_global_func(EMPTY), model.sizes_depend_on_data)

    def serve(self, arrays: Sequence[np.ndarray]) -> None:
        """Empty the pool if a run with these inputs would need it. To be called before the run."""
        shapes: Hashable = object() if self._every_run else tuple(a.shape for a in arrays)
        if shapes in self._served:
            return
        if len(self._served) >= SHAPES:
            self._served.clear()
            self._empty()
        self._served.add(shapes)
