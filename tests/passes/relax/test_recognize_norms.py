"""layer_norm in single operators is recognised in all its forms, and similar formulas are not."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.recognize_norms import RecognizeNorms
from quake_tvm.tvm_version import tir
from tests.helpers import c, module, once, run

RNG = np.random.default_rng(0)
X = (2, 3, 40)
GAMMA, BETA = RNG.normal(size=(2, 40)).astype(np.float32)
nn, op = relax.op.nn, relax.op


def mean(x, axis=-1, keepdims=True):
    return op.mean(x, axis=axis, keepdims=keepdims)


def written_out(
    x,
    square=lambda d: op.power(d, c(2)),
    gamma=None,
    beta=None,
    epsilon=1e-5,
    axis=-1,
    scaled=lambda n, g: n * g,
    shifted=lambda s, b: s + b,
    small=lambda v, e: v + e,
    root=op.sqrt,
):
    gamma = relax.const(GAMMA) if gamma is None else gamma
    beta = relax.const(BETA) if beta is None else beta
    centered = once(x - once(mean(x, axis)))
    deviation = root(small(mean(square(centered), axis), c(epsilon)))
    return shifted(scaled(centered / deviation, gamma), beta)


def norm(x, epsilon=1e-5, gamma=None, beta=None):
    gamma = relax.const(GAMMA) if gamma is None else gamma
    beta = relax.const(BETA) if beta is None else beta
    return nn.layer_norm(x, gamma, beta, axes=[-1], epsilon=epsilon)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"square": lambda d: d * d},
        {"axis": 2},
        {"epsilon": 1e-12},
        {"scaled": lambda n, g: g * n},
        {"shifted": lambda s, b: b + s},
        {"small": lambda v, e: e + v},
    ],
    ids=["power", "product", "axis", "epsilon", "gamma_first", "beta_first", "epsilon_first"],
)
def test_forms(options):
    after = RecognizeNorms()(module(lambda x: written_out(x, **options), X))
    epsilon = float(np.float32(options.get("epsilon", 1e-5)))
    tvm.ir.assert_structural_equal(after, module(lambda x: norm(x, epsilon), X))
    tvm.ir.assert_structural_equal(RecognizeNorms()(after), after)


def rms(x, root=lambda x, v: x / op.sqrt(v), square=lambda x: x * x, scaled=lambda n, g: n * g):
    guarded = mean(square(x)) + c(1e-5)
    return scaled(root(x, guarded), relax.const(GAMMA))


INVERSE_ROOTS = {
    "quotient": lambda x, v: x / op.sqrt(v),
    "reciprocal": lambda x, v: x * (c(1) / op.sqrt(v)),
    "rsqrt": lambda x, v: op.rsqrt(v) * x,
    "power": lambda x, v: x * op.power(v, c(-0.5)),
}


@pytest.mark.parametrize("root", INVERSE_ROOTS.values(), ids=INVERSE_ROOTS)
def test_rms_norm(root):
    epsilon = float(np.float32(1e-5))
    for options in ({}, {"square": lambda x: op.power(x, c(2))}, {"scaled": lambda n, g: g * n}):
        after = RecognizeNorms()(module(lambda x, o=options: rms(x, root, **o), X))
        expected = module(
            lambda x: nn.rms_norm(x, relax.const(GAMMA), axes=[-1], epsilon=epsilon), X
        )
        tvm.ir.assert_structural_equal(after, expected)


@pytest.mark.parametrize("root", INVERSE_ROOTS.values(), ids=INVERSE_ROOTS)
def test_layer_norm_of_an_inverse_root(root):
    def formula(x):
        centered = once(x - once(mean(x)))
        normal = root(centered, mean(centered * centered) + c(1e-5))
        return normal * relax.const(GAMMA) + relax.const(BETA)

    expected = module(lambda x: norm(x, float(np.float32(1e-5))), X)
    tvm.ir.assert_structural_equal(RecognizeNorms()(module(formula, X)), expected)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: rms(x, lambda x, v: x / v),
        lambda x: rms(x, lambda x, v: x * op.sqrt(v)),
        lambda x: rms(x, lambda x, v: x * (c(2) / op.sqrt(v))),
        lambda x: rms(x, lambda x, v: x * op.power(v, c(0.5))),
        lambda x: rms(x, lambda x, v: op.exp(x) / op.sqrt(v)),
        lambda x: rms(x, scaled=lambda n, g: n / g),
    ],
    ids=["no_root", "root", "two", "square_root", "of_another", "divided"],
)
def test_near_misses_of_rms_norm_stay(formula):
    mod = module(formula, X)
    tvm.ir.assert_structural_equal(RecognizeNorms()(mod), mod)


def test_two_around_a_product():
    w = RNG.normal(size=(40, 40)).astype(np.float32)
    epsilon = float(np.float32(1e-5))
    before = module(lambda x: written_out(op.matmul(written_out(x), relax.const(w))), X)
    expected = module(lambda x: norm(op.matmul(norm(x, epsilon), relax.const(w)), epsilon), X)
    tvm.ir.assert_structural_equal(RecognizeNorms()(before), expected)


def test_unknown_shapes_and_weights():
    n = tir.Var("n", "int64")
    shapes = [(2, n, 40), (40,), (40,)]
    before = module(lambda x, g, b: written_out(x, gamma=g, beta=b), *shapes)
    epsilon = float(np.float32(1e-5))
    expected = module(lambda x, g, b: norm(x, epsilon, g, b), *shapes)
    tvm.ir.assert_structural_equal(RecognizeNorms()(before), expected)


def test_steps_that_others_use_are_kept():
    def formula(x):
        centered = once(x - once(mean(x)))
        normal = once(centered / op.sqrt(mean(centered * centered) + c(1e-5)))
        return normal * relax.const(GAMMA) + relax.const(BETA), normal

    x = RNG.normal(size=X).astype(np.float32)
    mod = RecognizeNorms()(module(formula, X))
    machine = relax.VirtualMachine(tvm.compile(mod, quake_tvm.target()), tvm.cpu())
    y, normal = (r.numpy() for r in machine["main"](tvm.runtime.tensor(x)))
    np.testing.assert_allclose(y, normal * GAMMA + BETA, rtol=1e-4, atol=1e-5)


def _other_mean(x):
    centered = once(x - once(mean(x)))
    other = once(x - once(op.max(x, axis=-1, keepdims=True)))
    return centered / op.sqrt(mean(other * other) + c(1e-5)) * relax.const(GAMMA) + relax.const(
        BETA
    )


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: written_out(x, axis=1, gamma=c(1), beta=c(0)),
        lambda x: written_out(x, axis=[1, 2]),
        lambda x: written_out(x, square=lambda d: op.power(d, c(3))),
        lambda x: written_out(x, square=op.abs),
        lambda x: written_out(x, root=op.exp),
        lambda x: written_out(x, gamma=c(2)),
        lambda x: written_out(x, beta=relax.const(np.ones((3, 40), "float32"))),
        lambda x: written_out(x, scaled=lambda n, g: n / g),
        lambda x: written_out(x, shifted=lambda s, b: s - b),
        _other_mean,
    ],
    ids=[
        "other_axis",
        "two_axes",
        "cube",
        "absolute",
        "no_root",
        "scalar_gamma",
        "beta_of_two_axes",
        "divided",
        "subtracted",
        "another_center",
    ],
)
def test_near_misses_stay(formula):
    mod = module(formula, X)
    tvm.ir.assert_structural_equal(RecognizeNorms()(mod), mod)
    x = RNG.normal(size=X).astype(np.float32)
    expected = run(mod, x)
    (y,) = quake_tvm.compile(mod, method="exact").run(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_right():
    x = RNG.normal(100, 1, size=X).astype(np.float32)
    compiled = quake_tvm.compile(module(written_out, X))
    assert compiled.report.kernels == {"layer_norm": "rows"}
    d = x.astype(np.float64) - x.mean(-1, keepdims=True, dtype=np.float64)
    exact = d / np.sqrt(np.mean(d**2, -1, keepdims=True) + 1e-5) * GAMMA + BETA
    np.testing.assert_allclose(compiled.run(x)[0], exact, rtol=1e-4, atol=1e-4)
