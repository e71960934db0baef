"""From the features of every way to build to metrics: the cost of a way on one task.

A head is trained once, on exact features, and used for every way, like the head of a deployed
model. Knows no model and no data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .statistics import at_most, interval, mcnemar

# Rows of features for each way to build, including "exact".
Features = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A way to build compared with exact, on the same items.

    Attributes
    ----------
    difference, low, high : float
        The way's metric minus the exact one, and the limits of its 95 % interval.
    cosine_min, cosine_mean : float
        The cosine between the way's and the exact features of an item.
    lost, gained : int or None
        Answers that went from right to wrong, and from wrong to right. None for correlations, as
        are the next two.
    p : float or None
        McNemar's p-value for equal rates of losses and gains.
    loss_at_most : float or None
        An upper limit of the share of items that lose, with 95 % confidence.
    """

    difference: float
    low: float
    high: float
    cosine_min: float
    cosine_mean: float
    lost: int | None = None
    gained: int | None = None
    p: float | None = None
    loss_at_most: float | None = None


@dataclass(frozen=True)
class Result:
    """One metric of one task.

    Attributes
    ----------
    task, model, head : str
    metric : str
        ``"accuracy"`` or ``"correlation"``.
    items : int
        The number of items, from which intervals are drawn.
    networks : int
        The number of trained networks. Each is tested on all items.
    exact : float
    losses : mapping of the name of a way to Loss
    """

    task: str
    model: str
    head: str
    metric: str
    items: int
    networks: int
    exact: float
    losses: Mapping[str, Loss]


def accuracy(
    task: str,
    model: str,
    head: str,
    features: Features,
    predict: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
) -> Result:
    """The share of right answers.

    Parameters
    ----------
    task, model, head : str
    features : mapping of the name of a way to array
        ``(items, width)``, or ``(networks, items, width)``. In the second case the answers of all
        networks to an item are drawn together.
    predict : callable
        Labels from features.
    labels : array
        ``(items,)``
    """
    right = {m: np.atleast_2d(predict(rows) == labels) for m, rows in features.items()}
    exact = right.pop("exact")
    networks, items = exact.shape

    def loss(way: str) -> Loss:
        lost, gained = exact & ~right[way], ~exact & right[way]
        gain = gained.mean(axis=0) - lost.mean(axis=0)
        return Loss(
            float(gain.mean()),
            *interval(lambda drawn: gain[drawn].mean(), items),
            *_cosines(features["exact"], features[way]),
            lost=int(lost.sum()),
            gained=int(gained.sum()),
            p=mcnemar(int(lost.sum()), int(gained.sum())),
            loss_at_most=at_most(int(lost.any(axis=0).sum()), items),
        )

    losses = {way: loss(way) for way in right}
    return Result(task, model, head, "accuracy", items, networks, float(exact.mean()), losses)


def correlation(task: str, model: str, features: Features, truth: np.ndarray) -> Result:
    """Pearson's correlation between cosines of items and the similarity that people gave.

    Parameters
    ----------
    task, model : str
    features : mapping of the name of a way to array
        ``(items, width)``
    truth : array
        ``(items, items)``. Each pair counts once.
    """
    items = len(truth)
    cosines = {m: _unit(rows) @ _unit(rows).T for m, rows in features.items()}

    first, second = np.triu_indices(items, 1)  # an item drawn twice makes no pair with itself
    moments = {m: _moments(c[first, second], truth[first, second]) for m, c in cosines.items()}

    def pearson(way: str, drawn: np.ndarray) -> float:
        often = np.bincount(drawn, minlength=items)
        n, x, y, xx, yy, xy = moments[way] @ (often[first] * often[second])
        return float((n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y)))

    def loss(way: str) -> Loss:
        def difference(drawn: np.ndarray) -> float:
            return pearson(way, drawn) - pearson("exact", drawn)

        return Loss(
            difference(np.arange(items)),
            *interval(difference, items),
            *_cosines(features["exact"], features[way]),
        )

    losses = {way: loss(way) for way in features if way != "exact"}
    exact = pearson("exact", np.arange(items))
    return Result(task, model, "cosine", "correlation", items, 1, exact, losses)


def _moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The weighted sums from which a correlation is computed."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _cosines(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    cosines = np.sum(_unit(a.astype(np.float64)) * _unit(b.astype(np.float64)), axis=-1)
    return float(cosines.min()), float(cosines.mean())
