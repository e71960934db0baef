"""Models on a board, in a worker process (:mod:`client` is the other end)."""

from typing import Any

import numpy as np
from tvm import runtime
from tvm.runtime.vm import VirtualMachine

from ..runtime.description import DESCRIPTION
from ..runtime.memory_pool import EMPTY, MemoryPool
from ..support import worker
from .session import BoardSession, explain


class ModelSession(BoardSession):
    """A session with a board, and its models by number."""

    def __init__(self) -> None:
        super().__init__()
        self._models: list[VirtualMachine] = []
        self._pools: list[MemoryPool] = []

    def load(self, path: str) -> int:
        """Upload a library. Returns the model's number."""
        module = self._upload(path, f"model{len(self._models)}.so")
        self._models.append(VirtualMachine(module, self._session.cpu(), memory_cfg="pooled"))
        self._pools.append(MemoryPool(self._session.get_function(EMPTY)))
        return len(self._models) - 1

    def describe(self, model: int) -> str:
        """The description inside a model."""
        return str(self._models[model][DESCRIPTION]())

    def run(self, model: int, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Run a model once."""
        machine = self._set(model, arrays)
        machine.invoke_stateful("main")
        return _leaves(machine.get_outputs("main"))

    def benchmark(
        self, model: int, arrays: list[np.ndarray], number: int, repeat: int
    ) -> list[float]:
        """Seconds per call, one figure per repeat."""
        machine = self._set(model, arrays)
        timer = machine.time_evaluator(
            "invoke_stateful", self._session.cpu(), number=number, repeat=repeat
        )
        return list(timer("main").results)

    def _set(self, model: int, arrays: list[np.ndarray]) -> VirtualMachine:
        machine, device = self._models[model], self._session.cpu()
        self._pools[model].serve(arrays)
        machine.set_input("main", *(runtime.tensor(array, device) for array in arrays))
        return machine


def _leaves(outputs: Any) -> list[np.ndarray]:
    if isinstance(outputs, tuple):
        return [leaf for item in outputs for leaf in _leaves(item)]
    return [outputs.numpy()]


if __name__ == "__main__":
    worker.serve(ModelSession(), explain)
