"""Batch norms with known statistics become a factor and a shift. All others are unchanged."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.fold_batch_norm import FoldBatchNorm
from quake_tvm.passes.relax.graph import Graph, op_name
from tests.helpers import module, once, run

RNG = np.random.default_rng(0)
X = (2, 4, 5, 6)
GAMMA, BETA, MEAN = RNG.normal(size=(3, 4)).astype(np.float32)
VARIANCE = RNG.uniform(1e-4, 2, size=4).astype(np.float32)
nn, op = relax.op.nn, relax.op


def norm(x, axis=1, parameters=(GAMMA, BETA, MEAN, VARIANCE), training=False, **options):
    return once(
        nn.batch_norm(x, *map(relax.const, parameters), axis=axis, training=training, **options)
    )


def factor_and_shift(scale=True, center=True, epsilon=1e-5):
    gamma, beta, mean, variance = (p.astype(np.float64) for p in (GAMMA, BETA, MEAN, VARIANCE))
    factor = (gamma if scale else 1) / np.sqrt(variance + epsilon)
    return factor, (beta if center else 0) - mean * factor


def operators(mod):
    return [op_name(value) for value in Graph(mod["main"]).values.values()]


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
@pytest.mark.parametrize(("scale", "center"), [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize(("axis", "shape"), [(1, (4, 1, 1)), (3, (4,))])
def test_factor_and_shift(axis, shape, scale, center, epsilon):
    options = {"scale": scale, "center": center, "epsilon": epsilon}
    full = [2, 5, 6]
    full.insert(axis, 4)

    def expected(x):
        one = [1] * 4
        one[axis] = 4
        factor, shift = (
            relax.const(v.reshape(one).astype(np.float32)) for v in factor_and_shift(**options)
        )
        return once(x * factor) + shift

    after = FoldBatchNorm()(module(lambda x: norm(x, axis, **options)[0], tuple(full)))
    tvm.ir.assert_structural_equal(after, module(expected, tuple(full)))
    tvm.ir.assert_structural_equal(FoldBatchNorm()(after), after)


def test_right():
    x = RNG.normal(size=X).astype(np.float32)
    mod = module(lambda x: nn.relu(norm(x)[0]), X)
    factor, shift = (v.reshape(4, 1, 1) for v in factor_and_shift())
    expected = np.maximum(x.astype(np.float64) * factor + shift, 0)
    for y in (run(FoldBatchNorm()(mod), x), quake_tvm.compile(mod).run(x)[0]):
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-5)


def test_two_in_a_row():
    mod = FoldBatchNorm()(module(lambda x: norm(norm(x)[0])[0], X))
    assert operators(mod) == ["relax.multiply", "relax.add"] * 2


def test_small_variances_are_computed_in_float64():
    small = np.float32([1e-30, 1e-12, 1e-7, 1])
    x = RNG.normal(size=X).astype(np.float32)
    parameters = (GAMMA, BETA, MEAN, small)
    mod = FoldBatchNorm()(module(lambda x: norm(x, parameters=parameters, epsilon=1e-12)[0], X))
    gamma, beta, mean, variance = (p.astype(np.float64).reshape(4, 1, 1) for p in parameters)
    exact = (x - mean) / np.sqrt(variance + 1e-12) * gamma + beta
    scale = np.abs(exact).max((0, 2, 3), keepdims=True)
    assert np.all(np.abs(run(mod, x) - exact) <= 1e-6 * scale)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: nn.relu(x),
        lambda x: norm(x, training=True)[0],
        lambda x: norm(x)[1],
        lambda x: norm(x, parameters=(GAMMA, BETA, MEAN, 0 * VARIANCE), epsilon=0.0)[0],
        lambda x: norm(x, parameters=(GAMMA, BETA, MEAN, -VARIANCE))[0],
        lambda x: norm(x, parameters=(GAMMA, BETA, MEAN, VARIANCE * np.float32("nan")))[0],
        lambda x: norm(x, parameters=(GAMMA * np.float32(1e38), BETA, MEAN, 0 * VARIANCE))[0],
    ],
    ids=[
        "no_norm",
        "training",
        "statistics",
        "no_variance",
        "negative_variance",
        "nan",
        "factor_overflows",
    ],
)
def test_stays(formula):
    mod = module(formula, X)
    assert operators(FoldBatchNorm()(mod)) == operators(mod)


def test_unknown_statistics_and_other_dtypes_stay():
    mod = module(lambda x, m: nn.batch_norm(x, m, m, m, m, axis=1, training=False)[0], X, (4,))
    assert operators(FoldBatchNorm()(mod)) == operators(mod)
    half = [p.astype(np.float16) for p in (GAMMA, BETA, MEAN, VARIANCE)]
    mod = module(lambda x: norm(x, parameters=half)[0], X, dtype="float16")
    assert operators(FoldBatchNorm()(mod)) == operators(mod)


def test_result_and_statistics_both_used():
    mod = module(lambda x: ((both := norm(x))[0], both[1]), X)
    assert "relax.nn.batch_norm" in operators(FoldBatchNorm()(mod))
