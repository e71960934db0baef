"""log(sum(exp(x - max))) + max over rows with infinities, for all axes, on exact and a rung."""

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.center_logsumexp import CenterLogSumExp
from tests.helpers import module, once

op = relax.op
NAN, INF = np.nan, np.inf
X = np.array([[-INF] * 3, [INF] * 3, [1, INF, -INF], [NAN, 1, 2], [1, -INF, 2], [1, 2, 3]])


def logsumexp(axes):
    """The form that TVM's importers write."""

    def formula(x):
        top = once(op.max(x, axes, keepdims=True))
        total = op.sum(op.exp(op.subtract(x, top)), axes, keepdims=True)
        return op.add(op.log(total), top)

    return formula


@pytest.mark.parametrize("method", ["exact", "quake5"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities(method, dtype):
    x = np.stack([X, X[::-1]]).astype(dtype)
    axes = [[2], [0], [0, 2], [1, 2], [0, 1, 2]]
    mod = module(lambda x: tuple(logsumexp(a)(x) for a in axes), x.shape, dtype=dtype)
    for a, q in zip(axes, quake_tvm.compile(mod, method=method).run([x]), strict=True):
        with np.errstate(over="ignore", divide="ignore"):
            y = np.log(np.sum(np.exp(x), tuple(a), keepdims=True))
        np.testing.assert_allclose(q, y, rtol=1e-4)


def test_only_this_form_changes():
    others = [
        lambda x: op.subtract(x, op.max(x, [1], keepdims=True)),
        lambda x: op.add(op.log(x), op.max(x, [1], keepdims=True)),
    ]
    for other in others:
        mod = module(other)
        assert CenterLogSumExp()(mod).same_as(mod)


def test_a_step_that_is_used_elsewhere_stays_what_it_is():
    def also_a_softmax(x):
        top = once(op.max(x, [1], keepdims=True))
        powers = once(op.exp(op.subtract(x, top)))
        total = once(op.sum(powers, [1], keepdims=True))
        return op.add(op.log(total), top), op.divide(powers, total)

    mod = module(also_a_softmax, (6, 3))
    assert CenterLogSumExp()(mod).same_as(mod)
