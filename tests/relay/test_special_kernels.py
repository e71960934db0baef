"""Operators of Relay builds at NaN and infinities, including TVM's own behaviour on the page."""

import numpy as np
import tvm
from tvm import relay
from tvm.contrib import graph_executor

import quake_tvm

NAN, INF = np.nan, np.inf
X = np.float32(
    [
        [NAN, INF, -INF, -0.0, 0, 1e-40, 2.5, -2.5],
        [-INF] * 8,
        [INF] * 8,
        [1, 3, 2, -1, 3, 0, -3, 9],
    ]
)
NUMBERS = X[1:]


def ran(formulas, x):
    """The results of several formulas, built inside ``PassContext``."""
    var = relay.var("x", shape=x.shape)
    mod = tvm.IRModule.from_expr(relay.Function([var], relay.Tuple([f(var) for f in formulas])))
    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        lib = relay.build(mod, quake_tvm.target("native"))
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))
    machine.run(x=x)
    return [machine.get_output(k).numpy() for k in range(len(formulas))]


def test_nan_passes_constants():
    formulas = {
        relay.nn.relu: np.maximum(np.float32(0), X),
        lambda x: relay.clip(x, -1, 1): np.clip(X, -1, 1),
        lambda x: relay.maximum(x, relay.const(0.5)): np.maximum(np.float32(0.5), X),
        lambda x: relay.minimum(relay.exp(x), relay.const(0.5)): None,
    }
    *found, fused = ran(list(formulas), X)
    for q, y in zip(found, formulas.values(), strict=False):
        np.testing.assert_array_equal(q, y)
    assert np.isnan(fused[0, 0])


def test_extremes_of_infinities():
    def image(x):
        return relay.reshape(x, (1, 1, 3, 8))

    largest, smallest, first, least, pooled, padded = ran(
        [
            lambda x: relay.max(x, 1),
            lambda x: relay.min(x, 1),
            lambda x: relay.argmax(x, 1),
            lambda x: relay.argmin(x, 1),
            lambda x: relay.nn.max_pool2d(image(x), (1, 8), (1, 8)),
            lambda x: relay.nn.max_pool2d(image(x), (1, 3), (1, 1), padding=(0, 1)),
        ],
        NUMBERS,
    )
    np.testing.assert_array_equal(largest, NUMBERS.max(1))
    np.testing.assert_array_equal(smallest, NUMBERS.min(1))
    np.testing.assert_array_equal(first, NUMBERS.argmax(1))
    np.testing.assert_array_equal(least, NUMBERS.argmin(1))
    np.testing.assert_array_equal(pooled.ravel(), NUMBERS.max(1))
    assert np.all(np.isneginf(padded[0, 0, 0]))


def test_index_of_nan_is_an_index():
    for index in ran([lambda x: relay.argmax(x, 1), lambda x: relay.argmin(x, 1)], X):
        assert np.all((index >= 0) & (index < X.shape[1]))


def test_finite_numbers():
    x = np.random.default_rng(0).normal(0, 1, (5, 7)).astype("float32")
    largest, index = ran([lambda x: relay.max(x, 1), lambda x: relay.argmax(x, 1)], x)
    np.testing.assert_array_equal(largest, x.max(1))
    np.testing.assert_array_equal(index, x.argmax(1))
