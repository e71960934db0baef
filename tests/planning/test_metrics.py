"""The values of the metrics."""

import math

import numpy as np
import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.planning.metrics import METRICS, absolute, cosine, kl, named, relative, top1

A = np.float32([[1, 2, 4], [3, 1, 0]])
B = np.float32([[1, 2, 4.5], [1, 3, 0]])
IDS = np.int64([7, 8])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_nothing_is_lost_where_nothing_changes(metric):
    assert metric([[A, IDS], [B, IDS]], [[A, IDS], [B, IDS]]) == 0


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_integers_do_not_count(metric):
    assert metric([[IDS, A]], [[IDS + 1, B]]) == metric([[A]], [[B]]) > 0


def test_differences():
    assert absolute([[A], [A]], [[A], [B]]) == 2
    assert relative([[A], [A]], [[A], [B]]) == 2 / 4


def test_cosine_of_rows():
    x, y = np.float32([[1, 0], [1, 0]]), np.float32([[2, 0], [1, 1]])
    assert cosine([[x]], [[y]]) == pytest.approx(1 - math.sqrt(0.5))
    assert cosine([[x[0]]], [[y[1]]]) == pytest.approx(1 - math.sqrt(0.5))


def test_cosine_of_almost_the_same():
    x = np.random.default_rng(0).normal(size=(1, 100)).astype(np.float32)
    y = x * np.float32(1 + 1e-4) + np.float32(1e-6)
    exact = 1 - np.vdot(x.astype(np.longdouble), y.astype(np.longdouble)) / (
        np.linalg.norm(x.astype(np.longdouble)) * np.linalg.norm(y.astype(np.longdouble))
    )
    assert cosine([[x]], [[y]]) == pytest.approx(float(exact), rel=1e-3)


def test_kl_of_logits_and_of_probabilities():
    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    expected = np.sum(softmax(A) * np.log(softmax(A) / softmax(B)), axis=1).mean()
    assert kl([[A]], [[B]]) == pytest.approx(expected, rel=1e-5)
    assert kl([[softmax(A)]], [[softmax(B)]]) == pytest.approx(expected, rel=1e-5)
    # Shifted logits: a row whose sum is not 1 is treated as logits.
    assert kl([[A + 7]], [[B - 7]]) == pytest.approx(expected, rel=1e-4)


def test_top1_counts_rows():
    assert top1([[A], [A]], [[A], [B]]) == 1 / 4


def test_names():
    assert named("kl") == ("kl", kl)
    assert named("tests.planning.test_metrics:halves") == (
        "tests.planning.test_metrics:halves",
        halves,
    )
    assert named(halves) == ("halves", halves)


def halves(expected, found):
    return 0.5


@pytest.mark.parametrize(
    ("name", "reason"),
    [("l2", "choose from"), ("no_such_module:f", "cannot load"), ("math:nothing", "cannot load")],
)
def test_names_of_nothing(name, reason):
    with pytest.raises(QuakeError, match=reason):
        named(name)


NAN, INF = np.nan, np.inf
SPECIAL = np.float32([[1, NAN, 2], [INF, 3, 1], [4, -INF, 0]])


@pytest.mark.parametrize("metric", [absolute, relative, cosine])
def test_specials_that_stay_count_nothing(metric):
    assert metric([[SPECIAL]], [[SPECIAL]]) == 0
    assert 0 < metric([[SPECIAL]], [[SPECIAL + np.float32([[0.5, 0, 0]])]]) < 1


@pytest.mark.parametrize("metric", [absolute, relative, cosine])
@pytest.mark.parametrize("wrong", [NAN, INF])
def test_specials_that_come_are_infinite_errors(metric, wrong):
    worse = np.where(A == 4, np.float32(wrong), A)
    for outputs in ([[A, A], [A, worse]], [[A, A], [worse, A]]):
        assert metric([outputs[0]], [outputs[1]]) == math.inf
    assert metric([[worse]], [[A]]) == math.inf


def test_rows_with_specials():
    logits = np.float32([[-INF, -3, -4], [NAN, 1, 2]])
    assert kl([[logits]], [[logits]]) == top1([[logits]], [[logits]]) == 0
    changed = np.float32([[-INF, -4, -3], [5, 1, 2]])
    assert top1([[logits]], [[changed]]) == 1
    assert 0 < kl([[logits]], [[changed]]) < 1
    assert top1([[A]], [[np.where(A == 4, np.float32(NAN), A)]]) == 0.5


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("outputs", [[IDS], [A * np.float32(NAN)], [np.zeros((0, 3), np.float32)]])
def test_nothing_to_measure(metric, outputs):
    with pytest.raises(QuakeError, match=r"calibration input 2 gives no finite"):
        metric([[A], outputs], [[A], outputs])
