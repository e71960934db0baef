"""softmax, log_softmax and logsumexp: bounds under attack, special rows, order within a row."""

import functools

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tvm import te

from quake_tvm import accuracy, compute
from quake_tvm.approximation import METHODS
from quake_tvm.named_targets import target
from quake_tvm.operators import OPERATORS, ROW, bound
from quake_tvm.schedules import schedule

NAMES = [name for name, row in OPERATORS.items() if not row.elementwise]


@functools.cache
def kernel(operator, method, length, **options):
    x = te.placeholder((te.var("n", dtype="int64"), length), name="x")
    y = getattr(compute, operator)(x, method=method, **options)
    function = te.create_prim_func([x, y])
    return tvm.compile(schedule(function, target()), target=target())["main"], len(y.shape)


def run(operator, method, x, **options):
    x = np.atleast_2d(np.asarray(x, np.float32))
    built, rank = kernel(operator, method, x.shape[-1], **options)
    result = tvm.runtime.empty(x.shape[:rank], "float32")
    built(tvm.runtime.tensor(np.ascontiguousarray(x)), result)
    return result.numpy()


def exact(operator, x):
    x = np.atleast_2d(x).astype(np.float64)
    top = x.max(axis=-1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=-1, keepdims=True)
    if operator == "softmax":
        return e / total
    if operator == "log_softmax":
        return x - top - np.log(total)
    return (top + np.log(total))[..., 0]


def usage(operator, method, x):
    """The largest error in units of what the bound allows there."""
    y, promised = exact(operator, x), bound(operator, method)
    error = np.abs(run(operator, method, x) - y)
    return np.max(error / (promised.relative * np.abs(y) + promised.absolute))


@functools.cache
def adversaries(method):
    """Rows built to reach the bound: errors of one sign in the sum, the other in one element."""
    rounding = np.full(ROW, -16.635, np.float32)  # each addition to a lane rounds up by 2^-24
    rounding[:16] = 0
    rows = [rounding]
    t = -np.linspace(0, 1.5, 1 << 16, dtype=np.float32)  # near 0, where they weigh
    error = accuracy.kernel("exp", method, target())(t) / np.exp(t.astype(np.float64)) - 1
    order = t[np.argsort(error)]
    lowest, highest = order[:4000:50], order[:-4000:-50]
    for many, one in (*zip(lowest, highest, strict=True), *zip(highest, lowest, strict=True)):
        row = np.full(ROW, many, np.float32)
        row[:2] = 0, one
        rows.append(row)
        # Few elements that count; each of the others rounds a lane up by half a unit.
        row = np.full(ROW, np.log(0.51 * np.spacing(np.exp(many))), np.float32)
        row[:16] = many
        row[:2] = 0, one
        rows.append(row)
    return np.stack(rows)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
def test_bound_holds_and_is_tight(operator, method):
    random = np.random.default_rng(0).normal(0, 4, (64, ROW)).astype(np.float32)
    used = max(usage(operator, method, adversaries(method)), usage(operator, method, random))
    assert 0.5 < used <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
@settings(max_examples=40, deadline=None)
@given(
    row=hnp.arrays(
        np.float32, st.sampled_from([1, 2, 16, 33, 100]), elements=st.floats(-300, 300, width=32)
    )
)
def test_bound_holds_for_any_row(operator, method, row):
    assert usage(operator, method, row) <= 1


SPECIAL_ROWS = {
    "nan": [0, np.nan, 1],
    "plus_infinity": [0, np.inf, 1],
    "two_infinities": [np.inf, np.inf, 1],
    "only_minus_infinity": [-np.inf, -np.inf, -np.inf],
    "some_minus_infinity": [-np.inf, 0, -np.inf],
    "largest": [3.4e38, 0, -3.4e38],
    "mask": [-3.4028235e38, 2, 1],
}


def as_pytorch(operator, x):
    """What PyTorch gives for these rows, up to rounding."""
    with np.errstate(all="ignore"):
        if operator != "logsumexp":
            return exact(operator, x)
        top = np.max(x)
        shift = top if np.isfinite(top) else np.float32(0)
        return np.atleast_1d(shift + np.log(np.sum(np.exp((x - shift).astype(np.float64)))))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
@pytest.mark.parametrize("name", SPECIAL_ROWS)
@pytest.mark.parametrize("padding", [0, 15])
def test_special_rows(name, operator, method, padding):
    x = np.float32(SPECIAL_ROWS[name] + [-np.inf] * padding)
    y, promised = as_pytorch(operator, x), bound(operator, method)
    q = run(operator, method, x)
    with np.errstate(all="ignore"):
        close = np.abs(q - y) <= promised.relative * np.abs(y) + promised.absolute
        overflow = np.isinf(q) & (np.abs(y) > np.finfo(np.float32).max)
    same = (q == y) | (np.isnan(q) & np.isnan(y))
    assert np.all(close | same | overflow)


@pytest.mark.parametrize("method", [m for m in METHODS if bound("exp", m).monotone])
def test_monotone_rungs_keep_the_argmax(method):
    x = np.random.default_rng(1).normal(0, 3, (2000, 64)).astype(np.float32)
    q = run("softmax", method, x)
    np.testing.assert_array_equal(q[np.arange(len(x)), x.argmax(-1)], q.max(-1))


@pytest.mark.parametrize("operator", NAMES)
def test_leading_rows_do_not_matter(operator):
    x = np.random.default_rng(2).normal(size=(7, 37)).astype(np.float32)
    whole = run(operator, "quake2", x)
    for index, row in enumerate(x):
        np.testing.assert_array_equal(whole[index], run(operator, "quake2", row)[0])
