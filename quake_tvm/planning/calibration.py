"""Measure the error of a model with some kernel calls on other rungs, on calibration inputs.

Knows a probe and a metric, no site.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..errors import QuakeError
from ..runtime.description import Inputs
from ..runtime.model import Model
from .metrics import Metric
from .probe import Probe


class Calibration:
    """Measures errors of a model with its metric.

    Parameters
    ----------
    exact : Model
        The model compiled with ``exact``.
    probe : Probe
        The same model on every rung.
    inputs : sequence of what ``Model.run`` takes
    metric : callable
    tick : callable
        Called after each measurement with the number of measurements so far.
    """

    def __init__(
        self,
        exact: Model,
        probe: Probe,
        inputs: Sequence[Inputs],
        metric: Metric,
        tick: Callable[[int], None],
    ) -> None:
        self._probe, self._inputs, self._metric, self._tick = probe, inputs, metric, tick
        self._done = 0
        self._exact = [[np.array(a) for a in exact.run(x)] for x in inputs]
        self._base = self._outputs({})

    def error(self, rungs: Mapping[int, str]) -> float:
        """The error against the exact model, with these calls on these rungs; infinite for NaN."""
        return self._measured(self._exact, self._outputs(rungs))

    def added(self, rungs: Mapping[int, str]) -> float:
        """The error that these calls alone add: the error against the highest rung everywhere."""
        return self._measured(self._base, self._outputs(rungs))

    def of(self, model: Model) -> tuple[float, float]:
        """The errors of another build: against the exact model, and against the highest rung."""
        found = [[np.array(a) for a in model.run(x)] for x in self._inputs]
        self._done += 1
        self._tick(self._done)
        return self._measured(self._exact, found), self._measured(self._base, found)

    def _outputs(self, rungs: Mapping[int, str]) -> list[list[np.ndarray]]:
        found = [self._probe.outputs(rungs, x) for x in self._inputs]
        self._done += 1
        self._tick(self._done)
        return found

    def _measured(
        self, expected: Sequence[Sequence[np.ndarray]], found: Sequence[Sequence[np.ndarray]]
    ) -> float:
        try:
            error = float(self._metric(expected, found))
        except (TypeError, ValueError, IndexError) as reason:
            raise QuakeError(f"the metric fails on this model's outputs: {reason}") from None
        return math.inf if math.isnan(error) else error
