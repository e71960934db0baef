"""Softmax and log_softmax over one element, and the largest log probability of other rows."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.numerics.ladder import METHODS
from tests.helpers import module

nn = relax.op.nn
X = np.float32([[0], [1], [-3.3], [88], [1e30], [-1e30], [1e-40], [-np.inf], [np.inf], [np.nan]])
NAN = [np.isinf(v) or np.isnan(v) for (v,) in X]


@pytest.mark.parametrize("method", ["exact", *METHODS])
def test_one_element(method):
    """For static and for dynamic length."""
    for length in (1, tvm.tirx.Var("n", "int64")):
        mod = module(lambda x: (nn.softmax(x), nn.log_softmax(x)), (len(X), length))
        one, zero = quake_tvm.compile(mod, method=method).run([X])
        np.testing.assert_array_equal(one[:, 0], np.where(NAN, np.nan, 1))
        np.testing.assert_array_equal(zero[:, 0], np.where(NAN, np.nan, 0))


@pytest.mark.parametrize("method", METHODS)
def test_no_log_probability_is_above_zero(method):
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (4000, 17)) * generator.choice([0.01, 1, 30], (4000, 1))
    mod = module(nn.log_softmax, x.shape)
    (y,) = quake_tvm.compile(mod, method=method).run([x.astype("float32")])
    assert y.max() == 0
