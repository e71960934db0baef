"""softmax, log_softmax and logsumexp: special rows, and that rows do not affect each other.

test_row_bounds.py tests their bounds and the order within a row.
"""

import numpy as np
import pytest

from quake_tvm.accuracy.row_search import exact, kernel
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound

ON = target()
NAMES = [name for name, row in OPERATORS.items() if not row.elementwise]


def run(operator, method, x):
    x = np.atleast_2d(np.asarray(x, np.float32))
    return kernel(operator, method, ON)(x)


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
    """The results of PyTorch for these rows, up to rounding."""
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


@pytest.mark.parametrize("operator", NAMES)
def test_leading_rows_do_not_matter(operator):
    x = np.random.default_rng(2).normal(size=(7, 37)).astype(np.float32)
    whole = run(operator, "quake2", x)
    for index, row in enumerate(x):
        np.testing.assert_array_equal(whole[index], run(operator, "quake2", row)[0])


@pytest.mark.parametrize("method", METHODS)
def test_log_softmax_is_never_above_zero(method):
    one = np.float32([[-100], [0], [0.3], [88.5], [3.4e38]])
    np.testing.assert_array_equal(run("log_softmax", method, one), 0)
    steep = np.float32([[0, -t, -2 * t] for t in np.linspace(0, 200, 401)])
    q = run("log_softmax", method, steep)
    assert np.all(q <= 0)
    assert np.all(np.isfinite(q))


@pytest.mark.parametrize("method", METHODS)
def test_no_probability_of_a_normal_number_is_zero(method):
    x = np.float32([[0, -t, -t] for t in np.linspace(0, 110, 20_001)])
    q, p = run("softmax", method, x), exact("softmax", x)
    smallest = (1 + 2 * bound("softmax", method).relative) * np.finfo(np.float32).tiny
    assert np.all(q[p >= smallest] > 0)
