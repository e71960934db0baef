"""A model whose kernels can each be run on another rung, without building the model again.

A model makes the same kernel calls with the same tensors on all rungs; only the kernels' formulas
differ. So the model on the highest rung is run, and for a call on another rung that rung's kernel
is called instead. These are the kernels of compiled models, so the outputs are bit for bit those of
a model built with these rungs. Knows no site and no metric.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import tvm
import tvm_ffi

from ..errors import QuakeError
from ..numerics.ladder import METHODS
from ..runtime.description import Inputs
from ..runtime.model import Model

# The rung of the model in which kernels are replaced.
BASE = METHODS[-1]
# TVM's VMInstrumentReturnKind.
_RUN, _SKIP = 0, 1
# Interleaved timings of each kernel on each rung, and the shortest time of one in milliseconds.
ROUNDS, MILLISECONDS = 9, 3

# (number of the call, the kernel's name, the kernel, its arguments) to whether to skip the call.
Visit = Callable[[int, str, tvm_ffi.Function, Sequence[Any]], int]


class Probe:
    """A model on every rung.

    Parameters
    ----------
    models : mapping of rung to Model
    inputs : what ``Model.run`` takes
        Valid inputs of the model.

    Attributes
    ----------
    calls : int
        The number of kernel calls in a run.

    Raises
    ------
    QuakeError
        If the kernels' names or order differ between rungs.
    """

    def __init__(self, models: Mapping[str, Model], inputs: Inputs) -> None:
        self._base, self._inputs = models[BASE], inputs
        self._libraries = {m: model.kernels for m, model in models.items()}
        seen = {m: _calls(model, inputs) for m, model in models.items()}
        self._names = [name for name, _ in seen[BASE]]
        self._kernels = {m: [function for _, function in calls] for m, calls in seen.items()}
        if any([name for name, _ in calls] != self._names for calls in seen.values()):
            raise QuakeError(
                "the model's kernels are not the same on all rungs, so its sites cannot be "
                "planned one by one: give method= or max_error="
            )
        self.calls = len(self._names)

    def outputs(self, rungs: Mapping[int, str], inputs: Inputs) -> list[np.ndarray]:
        """The outputs with these calls on these rungs, and all others on the highest rung."""
        swapped = {call: self._kernels[rung][call] for call, rung in rungs.items()}

        def swap(call: int, name: str, _: tvm_ffi.Function, args: Sequence[Any]) -> int:
            if call not in swapped:
                return _RUN
            swapped[call](*args)
            return _SKIP

        return _run(self._base, inputs, swap)

    def times(self, calls: Sequence[int]) -> dict[int, dict[str, float]]:
        """Median seconds of these calls on every rung. Equal kernels are timed once."""
        first = {self._names[call]: call for call in sorted(calls, reverse=True)}
        found: dict[str, dict[str, float]] = {}

        def time(call: int, name: str, _: tvm_ffi.Function, args: Sequence[Any]) -> int:
            if first.get(name) == call:
                found[name] = self._timed(name, args)
            return _RUN

        _run(self._base, self._inputs, time)
        return {call: found[self._names[call]] for call in calls}

    def _timed(self, name: str, args: Sequence[Any]) -> dict[str, float]:
        seconds: dict[str, list[float]] = {m: [] for m in self._libraries}
        timers = {
            method: library.time_evaluator(
                name, tvm.cpu(), number=1, repeat=1, min_repeat_ms=MILLISECONDS
            )
            for method, library in self._libraries.items()
        }
        for _ in range(ROUNDS):
            for method, timer in timers.items():
                seconds[method].append(timer(*args).mean)
        return {method: statistics.median(each) for method, each in seconds.items()}


def _run(model: Model, inputs: Inputs, visit: Visit) -> list[np.ndarray]:
    """The outputs of a run that passes each kernel call to ``visit`` first."""
    calls = count()

    def see(function: tvm_ffi.Function, name: str, before: bool, _: Any, *args: Any) -> int:
        if not before or name not in model.report.kernels:
            return _RUN
        return visit(next(calls), str(name), function, args)

    return [np.array(a) for a in model.instrumented(see).run(inputs)]


def _calls(model: Model, inputs: Inputs) -> list[tuple[str, tvm_ffi.Function]]:
    """The names and functions of the kernels, in the order of their calls."""
    found: list[tuple[str, tvm_ffi.Function]] = []

    def note(_: int, name: str, function: tvm_ffi.Function, args: Sequence[Any]) -> int:
        found.append((name, function))
        return _RUN

    _run(model, inputs, note)
    return found
