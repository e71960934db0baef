"""The uncertainty of a measured difference. Knows no task: indices, counts and SciPy."""

from collections.abc import Callable

import numpy as np
from scipy import stats

RESAMPLES = 10_000
CONFIDENCE = 0.95


def interval(statistic: Callable[[np.ndarray], float], items: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a statistic over items drawn with replacement.

    Parameters
    ----------
    statistic : callable
        Takes int indices ``(items,)`` of the drawn items. For a paired difference it uses both
        sides of each item.
    items : int

    Returns
    -------
    (float, float)
        Deterministic: the draws are seeded.
    """
    found = stats.bootstrap(
        (np.arange(items),),
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def mcnemar(lost: int, gained: int) -> float:
    """The exact two-sided p-value of McNemar's test of equal rates of losses and gains."""
    return float(stats.binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def at_most(seen: int, items: int) -> float:
    """An upper limit, with 95 % confidence, of the rate of an event seen so often in ``items``.

    This is Clopper and Pearson's one-sided limit. If the event was never seen, it is about 3/items,
    where a bootstrap would give 0.
    """
    limits = stats.binomtest(seen, items, alternative="less").proportion_ci(CONFIDENCE)
    return float(limits.high)
