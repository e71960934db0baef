"""How sure a measured difference is. Knows no task: indices, counts and SciPy."""

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
        Given int indices ``(items,)`` of the items drawn. For a paired difference it takes both
        sides of each item.
    items : int

    Returns
    -------
    (float, float)
        The same for the same arguments: the draws are seeded.
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
    """The exact two-sided p-value of McNemar's test: are flips as likely one way as the other?"""
    return float(stats.binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def at_most(seen: int, items: int) -> float:
    """The rate that something seen on so many items does not exceed, with 95 % confidence.

    Clopper and Pearson's, one-sided: about 3/items where nothing was seen, which a bootstrap would
    take for certainty.
    """
    limits = stats.binomtest(seen, items, alternative="less").proportion_ci(CONFIDENCE)
    return float(limits.high)
