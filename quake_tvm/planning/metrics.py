"""How far a model's outputs are from what they should be: the metrics a budget can be of.

Each takes the outputs for some inputs as they should be, and as they are: a list of arrays for each
input. 0 is perfect. Knows numpy only.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..errors import QuakeError

Outputs = Sequence[np.ndarray]
Metric = Callable[[Sequence[Outputs], Sequence[Outputs]], float]


def _pairs(expected: Sequence[Outputs], found: Sequence[Outputs]) -> Iterator[tuple]:
    """Each floating-point output of each input, exact and approximate, as float64."""
    for a, b in zip(expected, found, strict=True):
        for x, y in zip(a, b, strict=True):
            if x.dtype.kind == "f" and x.size:
                yield x.astype(np.float64), y.astype(np.float64)


def absolute(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The largest difference of any element."""
    return max((float(np.abs(y - x).max()) for x, y in _pairs(expected, found)), default=0.0)


def relative(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The largest difference in an output, over the largest element of that output."""
    tiny = np.finfo(np.float64).tiny
    return max(
        (
            float(np.abs(y - x).max() / max(np.abs(x).max(), tiny))
            for x, y in _pairs(expected, found)
        ),
        default=0.0,
    )


def cosine(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """1 less the smallest cosine of any row, whose elements are all but the first axis's."""
    worst = 0.0
    for x, y in _pairs(expected, found):
        rows = x.shape[0] if x.ndim > 1 else 1
        x, y = x.reshape(rows, -1), y.reshape(rows, -1)
        sizes = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
        units = (v / np.maximum(n, 1e-300)[:, None] for v, n in zip((x, y), sizes, strict=True))
        # Of unit vectors: free of the cancellation in 1 - cos.
        apart = np.sum(np.square(np.subtract(*units)), axis=1) / 2
        worst = max(worst, float(apart.max()))
    return worst


def _rows(expected: Sequence[Outputs], found: Sequence[Outputs]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of each input's first output."""
    first = [next(_pairs([a], [b])) for a, b in zip(expected, found, strict=True)]
    x, y = (np.concatenate([p[k].reshape(-1, p[k].shape[-1]) for p in first]) for k in (0, 1))
    return x, y


def kl(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """Mean Kullback-Leibler divergence, in nats, of the first output's rows.

    These are logits, or probabilities where they are positive and sum to 1.
    """
    x, y = _rows(expected, found)
    if np.all(x >= 0) and np.allclose(x.sum(axis=1), 1, atol=1e-3):
        x, y = (np.log(np.maximum(p, 1e-30)) for p in (x, y))
    x, y = (p - p.max(axis=1, keepdims=True) for p in (x, y))
    x, y = (p - np.log(np.exp(p).sum(axis=1, keepdims=True)) for p in (x, y))
    return float(np.mean(np.sum(np.exp(x) * (x - y), axis=1)))


def top1(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The share of the first output's rows whose largest element is another."""
    x, y = _rows(expected, found)
    return float(np.mean(x.argmax(axis=1) != y.argmax(axis=1)))


METRICS: dict[str, Metric] = {m.__name__: m for m in (absolute, relative, cosine, kl, top1)}


def named(metric: str | Metric) -> tuple[str, Metric]:
    """A metric and its name.

    Parameters
    ----------
    metric : str or callable
        One of ``METRICS``, ``"module:function"``, or a function of one's own.

    Raises
    ------
    QuakeError
        For a name that stands for none.
    """
    if callable(metric):
        return getattr(metric, "__qualname__", type(metric).__name__), metric
    if metric in METRICS:
        return metric, METRICS[metric]
    module, separator, function = str(metric).partition(":")
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
