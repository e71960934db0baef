"""A model whose kernels can each be run on another rung, without building it anew.

On all rungs a model makes the same calls of kernels that take the same tensors; only what the
kernels compute differs. So the model on the highest rung is run, and where a call is to be on
another, that rung's kernel is called instead. These are the kernels of the finished model, so its
outputs are those of a model built with such rungs, bit for bit. Knows no site and no metric.
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

# The rung that others are swapped into.
BASE = METHODS[-1]
# TVM's VMInstrumentReturnKind.
_RUN, _SKIP = 0, 1
# Timings of each kernel on each rung, in turns, and the least time of one.
ROUNDS, MILLISECONDS = 9, 3

# A call's number, the kernel's name, the kernel, its arguments: whether to skip it.
Visit = Callable[[int, str, tvm_ffi.Function, Sequence[Any]], int]


class Probe:
    """A model on every rung.

    Parameters
    ----------
    models : mapping of rung to Model
    inputs : what ``Model.run`` takes
        Some that the model can be run with.

    Attributes
    ----------
    calls : int
        Calls of kernels in a run.

    Raises
    ------
    QuakeError
        If its rungs differ in more than what their kernels compute.
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
        """The outputs with these calls on these rungs, and the others on the highest."""
        swapped = {call: self._kernels[rung][call] for call, rung in rungs.items()}

        def swap(call: int, name: str, _: tvm_ffi.Function, args: Sequence[Any]) -> int:
            if call not in swapped:
                return _RUN
            swapped[call](*args)
            return _SKIP

        return _run(self._base, inputs, swap)

    def times(self, calls: Sequence[int]) -> dict[int, dict[str, float]]:
        """Seconds of these calls on every rung, medians; equal kernels are timed once."""
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
    """The outputs of a run that shows each of its calls of kernels before making it."""
    calls = count()

    def see(function: tvm_ffi.Function, name: str, before: bool, _: Any, *args: Any) -> int:
        if not before or name not in model.report.kernels:
            return _RUN
        return visit(next(calls), str(name), function, args)

    return [np.array(a) for a in model.instrumented(see).run(inputs)]


def _calls(model: Model, inputs: Inputs) -> list[tuple[str, tvm_ffi.Function]]:
    """The kernels' names and functions as a run calls them."""
    found: list[tuple[str, tvm_ffi.Function]] = []

    def note(_: int, name: str, function: tvm_ffi.Function, args: Sequence[Any]) -> int:
        found.append((name, function))
        return _RUN

    _run(model, inputs, note)
    return found
