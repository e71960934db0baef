"""softmax's weights never fall, never exceed the maximum's weight, and are fine near it."""

import math

import numpy as np
import pytest

from quake_tvm.accuracy import row_sweep
from quake_tvm.accuracy.row_sweep import EVERY, FIRST, kernel, sweep, top
from quake_tvm.accuracy.row_table import kept
from quake_tvm.machines.targets import target
from quake_tvm.numerics import row_bounds
from quake_tvm.numerics.ladder import METHODS

ON = target()
# The usual scales of attention, and one larger than 1.
SCALES = [1.0, 0.125, 64**-0.25, 32**-0.5, 96**-0.5, 3.7]


@pytest.fixture(scope="module")
def found():
    return sweep(ON, 1 << 22)


@pytest.mark.parametrize("method", METHODS)
def test_errors_are_within_what_is_kept_and_near_it(method, found):
    for name in ("weight", "exp"):
        low, high = getattr(found[method], name)
        known = getattr(row_bounds, name)(method)
        assert known.low <= low
        assert high <= known.high
        assert high - low > 0.85 * (known.high - known.low)


@pytest.mark.parametrize("method", METHODS)
def test_every_rung_is_monotone(method, found):
    assert found[method].monotone
    assert row_bounds.monotone(method)


@pytest.mark.exhaustive
def test_every_t():
    for method, row in sweep(ON, EVERY).items():
        assert kept(row) == row_bounds.kept(method)


@pytest.mark.parametrize("method", METHODS)
def test_equal_results_were_at_most_adjacent(method, found):
    assert kept(found[method])["tie"] == row_bounds.kept(method)["tie"]
    # One bit of quake1's result corresponds to 2 log(2) units.
    assert row_bounds.tie(method) < (1 if method != "quake1" else 1.5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_neighbours_keep_their_order(method, scale):
    weight = kernel(method, ON, scale)
    # Runs of neighbours over the whole range, and around each power of two.
    starts = np.arange(FIRST, FIRST + (0x42C00000 & 0x7FFFFFFF), 1 << 16, dtype=np.uint32)
    powers = np.arange(0, 127, 0.5, dtype=np.float64) * math.log(2) / scale
    seams = (-powers).astype(np.float32).view(np.uint32)[1:] - 128
    bits = np.concatenate([starts, seams])[:, None] + np.arange(256, dtype=np.uint32)
    w = weight(bits.reshape(-1).view(np.float32)).reshape(bits.shape)
    assert np.all(np.diff(w, axis=1) <= 0)
    assert np.all(np.diff(w[: len(starts), 0]) <= 0)
    assert w.max() == top(weight)


@pytest.mark.parametrize("method", METHODS)
def test_special_values(method):
    weight = kernel(method, ON)
    w = weight(np.float32([0, -0.0, -np.inf, -3.4e38, np.nan]))
    assert w[0] == w[1] > 0
    assert w[0] * (np.float32(1) / w[0]) == 1  # the only element of a row has probability 1
    np.testing.assert_array_equal(w[2:], np.float32([0, 0, np.nan]))


def test_a_coarse_exponential_shows():
    def coarse(t):
        return np.exp(np.round(t * 2.0**15) / 2.0**15)

    assert row_sweep.tie(coarse) > 100
