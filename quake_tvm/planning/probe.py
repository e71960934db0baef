"""A model whose kernels can each be run on another rung, without building it anew.

On all rungs a model makes the same calls of kernels that take the same tensors; only what the
kernels compute differs. So the model on the highest rung is run, and where a call is to be on
another, that rung's kernel is called instead. These are the kernels of the finished model, so its
outputs are those of a model built with such rungs, bit for bit. Knows no site and no metric.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tvm
import tvm_ffi

from ..approximation import METHODS
from ..description import Inputs
from ..errors import QuakeError
from ..model import Model

# The rung that others are swapped into.
BASE = METHODS[-1]
# TVM's VMInstrumentReturnKind.
_RUN, _SKIP = 0, 1
# Timings of each kernel on each rung, in turns, and the least time of one.
ROUNDS, MILLISECONDS = 9, 3


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
        self._kernels: dict[str, list[tvm_ffi.Function]] = {}
        self._libraries = {m: model.kernels for m, model in models.items()}
        names = {}
        for method, model in models.items():
            seen = list(_calls(model, inputs))
            names[method] = [name for name, _ in seen]
            self._kernels[method] = [function for _, function in seen]
        self._names = names[BASE]
        if any(found != self._names for found in names.values()):
            raise QuakeError(
                "the model's kernels are not the same on all rungs, so its sites cannot be "
                "planned one by one: give method= or max_error="
            )
        self.calls = len(self._names)

    def outputs(self, rungs: Mapping[int, str], inputs: Inputs) -> list[np.ndarray]:
        """The outputs with these calls on these rungs, and the others on the highest."""
        swapped = {call: self._kernels[rung][call] for call, rung in rungs.items()}
        known, call = set(self._names), -1

        def swap(_: Any, name: str, before: bool, __: Any, *args: Any) -> int:
            nonlocal call
            if not before or name not in known:
                return _RUN
            call += 1
            if call not in swapped:
                return _RUN
            swapped[call](*args)
            return _SKIP

        with self._base.instrumented(swap):
            return [np.array(a) for a in self._base.run(inputs)]

    def times(self, calls: Sequence[int]) -> dict[int, dict[str, float]]:
        """Seconds of these calls on every rung, medians; equal kernels are timed once."""
        first = {self._names[call]: call for call in sorted(calls, reverse=True)}
        found: dict[str, dict[str, float]] = {}
        known, at = set(self._names), -1

        def time(_: Any, name: str, before: bool, __: Any, *args: Any) -> int:
            nonlocal at
            if before and name in known:
                at += 1
                if first.get(name) == at:
                    found[name] = self._timed(name, args)
            return _RUN

        with self._base.instrumented(time):
            self._base.run(self._inputs)
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


def _calls(model: Model, inputs: Inputs) -> Iterator[tuple[str, tvm_ffi.Function]]:
    """The kernels' names and functions as a run calls them."""
    found: list[tuple[str, tvm_ffi.Function]] = []

    def see(function: tvm_ffi.Function, name: str, before: bool, *_: Any) -> int:
        if before and name in model.report.kernels:
            found.append((str(name), function))
        return _RUN

    with model.instrumented(see):
        model.run(inputs)
    return iter(found)
