"""Metrics and their statistics, on made-up features."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from tasks.evaluation import accuracy, correlation

LABELS = np.arange(100) % 4
EXACT = np.eye(4)[LABELS]


def answers(rows):
    return rows.argmax(axis=-1)


def classify(exact, rung):
    features = {"exact": exact, "quake1": rung}
    return accuracy("task", "model", "head", features, answers, LABELS)


def test_equal_features_lose_nothing():
    result = classify(EXACT, EXACT)
    loss = result.losses["quake1"]
    assert (result.items, result.networks, result.exact) == (100, 1, 1.0)
    assert (loss.difference, loss.low, loss.high, loss.lost, loss.gained) == (0, 0, 0, 0, 0)
    assert (loss.p, loss.cosine_min, loss.cosine_mean) == (1, 1, 1)
    assert 0 < loss.loss_at_most < 0.03


def test_flips_are_counted_both_ways():
    exact, rung = EXACT.copy(), EXACT.copy()
    exact[:2] = np.roll(EXACT[:2], 1, axis=1)  # wrong, then right
    rung[2:9] = np.roll(EXACT[2:9], 1, axis=1)  # right, then wrong
    result = classify(exact, rung)
    loss = result.losses["quake1"]
    assert (loss.lost, loss.gained) == (7, 2)
    assert loss.difference == pytest.approx(-0.05)
    assert loss.low < -0.05 < loss.high
    assert loss.loss_at_most > 0.07
    assert (loss.cosine_min, loss.cosine_mean) == (0, pytest.approx(0.91))


def test_networks_that_see_the_same_items_are_drawn_together():
    rung = EXACT.copy()
    rung[:10] = np.roll(EXACT[:10], 1, axis=1)
    one = classify(EXACT, rung)
    many = classify(np.stack([EXACT] * 3), np.stack([rung] * 3))
    assert (many.items, many.networks) == (100, 3)
    a, b = one.losses["quake1"], many.losses["quake1"]
    assert b.lost == 3 * a.lost == 30
    assert (b.low, b.high, b.loss_at_most) == pytest.approx((a.low, a.high, a.loss_at_most))


def test_correlation_over_pairs():
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(20, 5))
    rung = exact + rng.normal(0, 0.3, size=exact.shape)
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    truth = 2 * unit @ unit.T + 1
    result = correlation("task", "model", {"exact": exact, "quake1": rung}, truth)
    loss = result.losses["quake1"]
    assert result.exact == pytest.approx(1)
    pairs = np.triu_indices(20, 1)
    unit = rung / np.linalg.norm(rung, axis=1, keepdims=True)
    expected = np.corrcoef((unit @ unit.T)[pairs], truth[pairs])[0, 1]
    assert loss.difference == pytest.approx(expected - 1)
    assert loss.low < loss.difference < loss.high < 0
    assert loss.lost is loss.p is None
