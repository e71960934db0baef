"""Intervals cover the true value; p-values and limits agree with textbooks."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from tasks import statistics
from tasks.statistics import at_most, interval, mcnemar

RNG = np.random.default_rng(0)


def test_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = RNG.normal(size=200)
    low, high = interval(lambda drawn: values[drawn].mean(), len(values))
    half = 1.96 * values.std() / len(values) ** 0.5
    np.testing.assert_allclose([low, high], values.mean() + half * np.array([-1, 1]), atol=half / 9)
    assert (low, high) == interval(lambda drawn: values[drawn].mean(), len(values))


def test_interval_covers_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 300)
    covered = 0
    for _ in range(100):
        values = RNG.choice([-1, 0, 1], 200, p=[0.1, 0.85, 0.05])
        low, high = interval(lambda drawn, values=values: values[drawn].mean(), len(values))
        covered += low <= -0.05 <= high
    assert 88 <= covered <= 100


def test_pairing_takes_out_what_both_sides_share():
    common, extra = RNG.normal(size=300), RNG.normal(0, 0.01, size=300)
    low, high = interval(lambda drawn: (common + extra - common)[drawn].mean(), 300)
    assert high - low < 0.005


@pytest.mark.parametrize(
    ("lost", "gained", "p"), [(0, 0, 1.0), (3, 3, 1.0), (1, 5, 0.21875), (5, 1, 0.21875)]
)
def test_mcnemar(lost, gained, p):
    """Of six flips, at most one falls on one side with a probability of 7 in 64."""
    assert mcnemar(lost, gained) == pytest.approx(p)


def test_what_was_never_seen_has_a_limit():
    assert at_most(0, 540) == pytest.approx(1 - 0.05 ** (1 / 540))
    assert at_most(0, 540) < at_most(1, 540) < at_most(540, 540) == 1
