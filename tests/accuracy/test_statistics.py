"""The compiled statistics pass agrees with numpy, one statistic at a time."""

import numpy as np
import pytest

from quake_tvm.accuracy.float32_inputs import FLT_MAX, SMALLEST_NORMAL
from quake_tvm.accuracy.statistics import BINS, COUNTS, MEASURES, Limits, Statistics
from quake_tvm.machines.targets import target

COUNT = 1003
FREE = Limits(0.0)


@pytest.fixture(scope="module")
def statistics():
    return Statistics(target())


@pytest.fixture
def data():
    """Results near exact values of all magnitudes. All exact values are finite."""
    generator = np.random.default_rng(0)
    y = np.sort(generator.normal(0, 1, COUNT) * 2.0 ** generator.integers(-120, 120, COUNT))
    q = np.float32(y * (1 + generator.normal(0, 1e-5, COUNT)))
    return y, np.concatenate([q[:1], q])


def test_errors(statistics, data):
    y, q = data
    absolute = 1e-3
    maxima, sums, counts, ulps = statistics(y, q, Limits(absolute))
    apart = np.abs(q[1:].astype(np.float64) - y)
    rounded = np.float32(y)
    places = np.spacing(np.maximum(np.abs(rounded), np.float32(SMALLEST_NORMAL))).astype(np.float64)
    expected = {
        "relative": np.maximum(0, apart - absolute) / np.abs(y),
        "absolute": apart,
        "ulp": np.maximum(0, np.abs(q[1:] - rounded.astype(np.float64)) - absolute) / places,
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(statistics.measure(name, y, q, Limits(absolute)), values)
        assert maxima[name] == values.max()
        assert sums[name] == pytest.approx(values.sum())
    assert counts["finite"] == COUNT
    bins = np.histogram(expected["ulp"], [0, *2.0 ** np.arange(BINS - 1), np.inf])[0]
    assert ulps == tuple(bins)
    assert sum(n > 0 for n in ulps) > 3


def test_falls(statistics):
    q = np.float32([1, 2, 1.5, 1.5, 3, -np.inf, np.nan, 0])
    y = np.full(7, 1.0)
    for direction, falls, worst in ((1, 2, np.inf), (-1, 2, 1.5 * 2**23), (0, 0, 0)):
        maxima, _, counts, _ = statistics(y, q, Limits(0.0, direction=direction))
        assert (counts["falls"], maxima["fall"]) == (falls, worst)


@pytest.mark.parametrize(
    ("name", "q", "y"),
    [
        ("sign", -1e-30, 1.0),
        ("sign", 1e-30, -1e-60),
        ("range", 1.0000001, 1.0),
        ("range", -1.0000001, -1.0),
        ("nan", np.nan, 1.0),
        ("nan", 1.0, np.nan),
        ("early", np.inf, FLT_MAX * 0.99),
        ("late", FLT_MAX, 1e40),
    ],
)
def test_counts(statistics, name, q, y):
    limits = Limits(0.0, low=-1.0, high=1.0) if name == "range" else FREE
    _, _, counts, _ = statistics(np.full(5, y), np.full(6, q, np.float32), limits)
    assert {k: counts[k] for k in COUNTS if counts[k] and k != "finite"} == {name: 5}


@pytest.mark.parametrize(
    ("q", "y"), [(0.0, -1.0), (-0.0, 1.0), (np.nan, np.nan), (np.inf, np.inf), (np.inf, 1e40)]
)
def test_nothing_to_count(statistics, q, y):
    _, _, counts, _ = statistics(np.full(5, y), np.full(6, q, np.float32), FREE)
    assert not any(counts[k] for k in COUNTS if k != "finite")


@pytest.mark.parametrize("q", [np.nan, np.inf, -np.inf])
def test_no_number_is_infinitely_wrong(statistics, q):
    maxima, _, _, ulps = statistics(np.ones(3), np.float32([1, 1, q, 1]), FREE)
    assert [maxima[name] for name in MEASURES[:3]] == [np.inf] * 3
    assert ulps[0] == 2
    assert ulps[-1] == 1


def test_infinite_and_unknown_values_have_no_error(statistics):
    y = np.array([np.inf, -np.inf, np.nan, 1e39])
    maxima, sums, counts, ulps = statistics(y, np.zeros(5, np.float32), FREE)
    assert not any([*maxima.values(), *sums.values(), counts["finite"], *ulps])
