"""What a look-up costs and what it misses, beside what it has to beat."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ..bench.cases import random_feeds
from ..compiler import compile
from ..support.timing import Timer, interleave
from .layer import INT8, LookupLayer

# Rows that errors are measured on, and those that the affine map is fitted to, at most.
_ROWS, _FITTED = 4096, 40_000
# Rounds of timing.
_ROUNDS = 15


@dataclass(frozen=True)
class Errors:
    """Mean relative errors of a layer's output, on rows that nothing was fitted to.

    A row's error is relative to the layer's output with the residual, if the model adds one, and
    without the mean, which a norm removes.

    Attributes
    ----------
    look_up : float
    left_out : float
        With zeros for the layer's output.
    affine : float
        With the best affine map of the layer's input.
    """

    look_up: float
    left_out: float
    affine: float


def errors(
    layer: LookupLayer,
    form: str,
    rows: tuple[np.ndarray, np.ndarray],
    residual: np.ndarray | None,
    tested: np.ndarray,
) -> Errors:
    """The errors of a look-up.

    Parameters
    ----------
    layer : LookupLayer
    form : str
        What its tables are stored in.
    rows : tuple of ndarray
        x and y of the layer.
    residual : ndarray or None
        What the model adds to y.
    tested : ndarray of bool
        The rows that were not trained on.
    """
    x, y = rows
    places = np.flatnonzero(tested)
    places = places[:: -(-len(places) // _ROWS)]
    fitted = np.flatnonzero(~tested)
    fitted = fitted[:: -(-len(fitted) // _FITTED)]
    whole = y[places] if residual is None else y[places] + residual[places]
    sizes = np.linalg.norm(whole - whole.mean(axis=1, keepdims=True), axis=1) + 1e-30

    def relative(found: np.ndarray) -> float:
        return float(np.mean(np.linalg.norm(found - y[places], axis=1) / sizes))

    affine = _affine(x[fitted], y[fitted])
    stored = LookupLayer(
        layer.projection, layer.offset, _widened(layer, form), layer.bias, layer.bits
    )
    return Errors(
        relative(stored(x[places])),
        relative(np.zeros_like(y[places])),
        relative(np.c_[x[places], np.ones(len(places))] @ affine),
    )


def _widened(layer: LookupLayer, form: str) -> np.ndarray:
    """The tables as they are stored, in float32."""
    tables, *scales = layer.stored(form)
    wide = tables.astype(np.float32)
    return wide * scales[0][:, None] if form == INT8 else wide


def _affine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The affine map of least squares, (width of x + 1, width of y)."""
    more = np.c_[x, np.ones(len(x), np.float32)].astype(np.float64)
    gram = more.T @ more
    gram += np.eye(len(gram)) * 1e-6 * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, more.T @ y)


def milliseconds(models: Sequence[onnx.ModelProto]) -> list[float]:
    """Median milliseconds of a call of each model, in turn, on TVM's threads."""

    def timer(model: onnx.ModelProto) -> Timer:
        built = compile(model, target="native")
        feeds = random_feeds(built.inputs)

        def clock(number: int) -> float:
            start = time.perf_counter()
            for _ in range(number):
                built.run(feeds)
            return (time.perf_counter() - start) / number

        return Timer(clock)

    timers = {str(n): timer(model) for n, model in enumerate(models)}
    seconds = interleave(timers, _ROUNDS)
    return [1e3 * statistics.median(seconds[name]) for name in timers]
