"""Bounds of operators over rows, tested by search and by random rows; the order within a row."""

import dataclasses
import functools

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tvm import te

import quake_tvm
from quake_tvm.accuracy import row_search
from quake_tvm.accuracy.row_search import exact, extremes, worst_row
from quake_tvm.accuracy.row_table import LENGTHS, attack
from quake_tvm.kernels import compute
from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.machines.targets import target
from quake_tvm.numerics import row_bounds
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from quake_tvm.schedules import schedule
from quake_tvm.schedules.attention import tiles

# A single target object, since kernels are cached by it.
ON = target()
NAMES = [name for name, row in OPERATORS.items() if not row.elementwise]
# The share of its bound that a row of this length reaches. Where rounding errors dominate, they
# do not all occur at once, so the share is smaller.
LONG, REACHED = 128, {"quake1": 0.95, "quake2": 0.95, "quake3": 0.9, "quake4": 0.5, "quake5": 0.1}
FLOATS = st.floats(-300, 300, width=32) | st.sampled_from(
    [0.0, -0.0, 1e-30, -88.0, -87.4, 1e-6, 2.0**-24, 1e30, 1e38, -2e38, 16.0, 16.000001907348633]
)
ROWS = hnp.arrays(np.float32, st.sampled_from([1, 2, 3, 7, 16, 33, 100, 197]), elements=FLOATS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 100, LONG, 197, 1000, 1024])
def test_search_stays_within_the_bound(operator, method, length):
    found = attack(operator, method, ON, 30, length)
    assert found["used"] <= 1
    if length == LONG:
        assert found["used"] > REACHED[method]


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
@pytest.mark.parametrize("length", LENGTHS)
def test_long_search_stays_within_the_bound(operator, method, length):
    assert attack(operator, method, ON, 5000, length)["used"] <= 1


@pytest.mark.parametrize("method", METHODS)
def test_search_for_the_worst_probability(method):
    run, promised = row_search.kernel("softmax", method, ON), bound("softmax", method)

    def usage(x):
        return np.abs(run(x) - exact("softmax", x)).max(axis=1) / promised.probability

    pools = extremes("softmax", method, ON)
    used = max(worst_row(usage, pools, n)[0] for n in (2, 3, 7, 16))
    leading = method in ("quake1", "quake2", "quake3")
    assert (0.8 if leading else 0.01) < used <= 1


def test_bounds_at_the_rows_own_length():
    short, long = (row_bounds.softmax("quake5", n)["relative"] for n in (16, 1024))
    assert short < long == bound("softmax", "quake5").relative
    row = quake_tvm.bound("softmax", "quake1")
    assert row.probability < row.relative / 4
    assert dataclasses.asdict(bound("logsumexp", "quake1"))["probability"] is None


def usage(y, q, operator, method):
    row = OPERATORS[operator]
    promised = row.row_bound(method, 1024 if row.reduces else y.shape[-1])
    return np.max(np.abs(q - y) / (promised["relative"] * np.abs(y) + promised["absolute"]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
@settings(max_examples=25, deadline=None)
@given(row=ROWS)
def test_bound_holds_for_any_row(operator, method, row):
    x = row[None]
    q = row_search.kernel(operator, method, ON)(x)
    assert usage(exact(operator, x), q, operator, method) <= 1


@functools.cache
def masked(method, scale):
    """softmax(scale*x + mask) for rows of any length."""
    x = te.placeholder([te.var(k, dtype="int64") for k in "mn"], name="x")
    mask = te.placeholder(x.shape, name="mask")
    y = compute.softmax(x, mask, method=method, scale=scale)
    return tvm.compile(schedule(te.create_prim_func([x, mask, y]), ON), ON)["main"]


@pytest.mark.parametrize("scale", [0.125, 0.3, 1.7])
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(row=ROWS, data=st.data())
def test_bound_holds_with_a_scale_and_a_mask(method, scale, row, data):
    x = np.clip(row, -1e30, 1e30)[None]
    q = row_search.kernel("softmax", method, ON, scale=scale)(x)
    assert usage(exact("softmax", x.astype(np.float64) * scale), q, "softmax", method) <= 1
    hidden = data.draw(hnp.arrays(bool, x.shape))
    hidden[0, 0] = False
    mask = np.where(hidden, data.draw(st.sampled_from([-np.inf, -3.4e38, -1e4])), 0)
    mask = mask.astype(np.float32)
    # The rounding of the logits before softmax is not part of softmax's error.
    logits = (x.astype(np.float64) * np.float32(scale) + mask).astype(np.float32)
    out = tvm.runtime.empty(x.shape, "float32")
    masked(method, scale)(tvm.runtime.tensor(x), tvm.runtime.tensor(mask), out)
    assert usage(exact("softmax", logits), out.numpy(), "softmax", method) <= 1


def near_ties(length, seed=0):
    """Rows whose largest elements differ by a few of the smallest steps, in any order."""
    rng = np.random.default_rng(seed)
    step = 2.0 ** -rng.integers(18, 27, (2000, 1))
    x = np.where(rng.random((2000, length)) < 0.5, -rng.integers(0, 8, (2000, length)) * step, -3)
    x += np.where(rng.random((2000, 1)) < 0.5, 0, rng.normal(0, 2.0**-3, (2000, 1)))
    return x.astype(np.float32)


@pytest.mark.parametrize("length", [2, 3, 5, 16, 37, 128])
@pytest.mark.parametrize("method", METHODS)
def test_order_is_never_reversed(method, length):
    x = near_ties(length)
    q = row_search.kernel("softmax", method, ON)(x)
    rising = np.take_along_axis(q, np.argsort(x, axis=1), 1)
    assert np.all(np.diff(rising, axis=1) >= 0)


@pytest.mark.parametrize("length", [2, 3, 5, 16, 37, 128])
@pytest.mark.parametrize("method", METHODS)
def test_argmax_changes_among_neighbours_only(method, length):
    x = near_ties(length)
    q, y = row_search.kernel("softmax", method, ON)(x), exact("softmax", x)
    rows = np.arange(len(x))
    highest, chosen = y.max(axis=1), y[rows, q.argmax(axis=1)]
    # The ulp of the larger of the exact and the lowered result: a power of two may lie between
    # them.
    ulp = np.spacing(np.maximum(highest.astype(np.float32), q.max(axis=1)))
    apart = (highest - chosen) / ulp
    assert apart.max() <= row_bounds.tie(method)
    rounded = (highest.astype(np.float32) - chosen.astype(np.float32)) / ulp
    assert rounded.max() <= (1 if method != "quake1" else 2)


@pytest.mark.parametrize("length", [3, 37])
@pytest.mark.parametrize("method", METHODS)
def test_log_softmax_keeps_the_order_whatever_the_exponential(method, length):
    x = near_ties(length)
    q = row_search.kernel("log_softmax", method, ON)(x)
    assert np.all(np.diff(np.take_along_axis(q, np.argsort(x, axis=1), 1), axis=1) >= 0)


@pytest.mark.parametrize("method", ["quake1", "quake2", "quake3"])
def test_attention_within_its_bound(method):
    """Scores from a single feature, so that they are exact. The values have the errors' signs."""
    heads, length, keys, width = 8, 16, 128, 16
    low, high = extremes("softmax", method, ON)
    rng = np.random.default_rng(0)
    side = rng.random((heads, keys)) < 0.5
    scores = np.where(side, rng.choice(low, side.shape), rng.choice(high, side.shape))
    scores[:, 0] = 0
    q = np.zeros((1, heads, length, width), np.float32)
    k, v = np.zeros((2, 1, heads, keys, width), np.float32)
    q[..., 0], k[0, :, :, 0] = 1, scores
    v[:] = np.where(side, -1, 1)[None, :, :, None]
    tensors = [te.placeholder(a.shape, name=n) for a, n in ((q, "q"), (k, "k"), (v, "v"))]
    result = attention(
        *tensors,
        operands=(Operand(),) * 4,
        tiles=tiles(length, keys, width, ON),
        method=method,
    )
    built = tvm.compile(schedule(te.create_prim_func([*tensors, result]), ON), ON)
    out = tvm.runtime.empty(q.shape, "float32")
    built["main"](*map(tvm.runtime.tensor, (q, k, v)), out)
    y = exact("softmax", np.broadcast_to(scores[:, None], (heads, length, keys))) @ v[0]
    used = np.abs(out.numpy()[0] - y).max() / row_bounds.attention(method, keys)
    assert 0.8 < used <= 1
