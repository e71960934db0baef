"""Metrics of a model's error, in which a budget is given.

Each metric takes the exact and the found outputs: for each input a list of arrays. 0 means no
error. Knows numpy only.
"""

import importlib
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..errors import QuakeError

Outputs = Sequence[np.ndarray]
Metric = Callable[[Sequence[Outputs], Sequence[Outputs]], float]


def _pairs(
    expected: Sequence[Outputs], found: Sequence[Outputs], first: int = 1
) -> Iterator[tuple]:
    """The floating-point outputs of each input, exact and approximate, as float64.

    ``first`` is the number of the first input, for the error message. Raises QuakeError for an
    input without a finite output, because nothing could be measured.
    """
    for number, (a, b) in enumerate(zip(expected, found, strict=True), first):
        measured = False
        for x, y in zip(a, b, strict=True):
            if x.dtype.kind != "f" or not np.isfinite(x).any():
                continue
            measured = True
            yield x.astype(np.float64), y.astype(np.float64)
        if not measured:
            raise QuakeError(
                f"calibration input {number} gives no finite floating-point output on the exact "
                "model, so no error can be measured"
            )


def _compared(expected: Sequence[Outputs], found: Sequence[Outputs]) -> Iterator[tuple]:
    """The pairs, with 0 where both are NaN or the same infinity."""
    for x, y in _pairs(expected, found):
        same = ~np.isfinite(x) & ((x == y) | (np.isnan(x) & np.isnan(y)))
        yield np.where(same, 0, x), np.where(same, 0, y)


def _largest(errors: Iterator[float]) -> float:
    """The largest of the errors. NaN counts as infinite."""
    return max((math.inf if math.isnan(e) else float(e) for e in errors), default=0.0)


def _apart(x: np.ndarray, y: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return np.abs(y - x).max()


def absolute(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The largest absolute difference of any element."""
    return _largest(_apart(x, y) for x, y in _compared(expected, found))


def relative(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The largest difference in an output, divided by the largest element of that output."""
    tiny = np.finfo(np.float64).tiny
    return _largest(
        _apart(x, y) / max(np.abs(x[np.isfinite(x)]).max(initial=0), tiny)
        for x, y in _compared(expected, found)
    )


def cosine(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """1 minus the smallest cosine of any row. A row has the elements of all axes but the first."""
    return _largest(_turned(x, y) for x, y in _compared(expected, found))


def _turned(x: np.ndarray, y: np.ndarray) -> float:
    rows = x.shape[0] if x.ndim > 1 else 1
    x, y = x.reshape(rows, -1), y.reshape(rows, -1)
    sizes = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
    with np.errstate(invalid="ignore"):
        units = (v / np.maximum(n, 1e-300)[:, None] for v, n in zip((x, y), sizes, strict=True))
        # |u - v|^2 / 2 of unit vectors equals 1 - cos without its cancellation.
        return (np.sum(np.square(np.subtract(*units)), axis=1) / 2).max()


def _rows(expected: Sequence[Outputs], found: Sequence[Outputs]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of each input's first output, without rows that have NaN in the exact output."""
    outputs = enumerate(zip(expected, found, strict=True), 1)
    first = [next(_pairs([a], [b], number)) for number, (a, b) in outputs]
    x, y = (np.concatenate([p[k].reshape(-1, p[k].shape[-1]) for p in first]) for k in (0, 1))
    whole = ~np.isnan(x).any(axis=1)
    if not whole.any():
        raise QuakeError("every row of the exact model's outputs has NaN: no error can be measured")
    return x[whole], y[whole]


def kl(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """Mean Kullback-Leibler divergence, in nats, of the rows of the first output.

    Rows are logits, or probabilities if they are not negative and sum to 1.
    """
    x, y = _rows(expected, found)
    if np.all(x >= 0) and np.allclose(x.sum(axis=1), 1, atol=1e-3):
        x, y = (np.log(np.maximum(p, 1e-30)) for p in (x, y))
    x, y = (p - p.max(axis=1, keepdims=True) for p in (x, y))
    x, y = (p - np.log(np.exp(p).sum(axis=1, keepdims=True)) for p in (x, y))
    with np.errstate(invalid="ignore"):
        # elements of probability 0 contribute nothing
        terms = np.where(x == -np.inf, 0, np.exp(x) * (x - y))
    return float(np.mean(np.sum(terms, axis=1)))


def top1(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The share of rows of the first output whose largest element is at another index."""
    x, y = _rows(expected, found)
    return float(np.mean((x.argmax(axis=1) != y.argmax(axis=1)) | np.isnan(y).any(axis=1)))


METRICS: dict[str, Metric] = {m.__name__: m for m in (absolute, relative, cosine, kl, top1)}


def named(metric: str | Metric) -> tuple[str, Metric]:
    """A metric and its name.

    Parameters
    ----------
    metric : str or callable
        A name in ``METRICS``, ``"module:function"``, or a function.

    Returns
    -------
    str, callable

    Raises
    ------
    QuakeError
        For an unknown name.
    """
    if callable(metric):
        return getattr(metric, "__qualname__", type(metric).__name__), metric
    if not isinstance(metric, str):
        raise QuakeError(f"metric must be a name or a function, not {metric!r:.60}")
    if metric in METRICS:
        return metric, METRICS[metric]
    module, separator, function = metric.partition(":")
    if not separator:
        raise QuakeError(
            f"unknown metric {metric!r}; choose from: {', '.join(METRICS)}, "
            "or name a function of your own: module:function"
        )
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise QuakeError(f"cannot load metric {metric!r}: {error}") from None
    return metric, found
