"""Exact sinh, cosh, tanh, erf and softplus against mpmath: near 0, at the ends, and in vectors."""

import mpmath
import numpy as np
import pytest
from tvm import relax

import quake_tvm
from tests.helpers import module

op = relax.op
FUNCTIONS = {"sinh": op.sinh, "cosh": op.cosh, "tanh": op.tanh, "erf": op.erf}
SPACINGS = 6


def operands(dtype: str) -> np.ndarray:
    last = 700 if dtype == "float64" else 88
    x = [*np.geomspace(1e-30, last, 400), 0.02, 0.25, 0.5, 1e-40, 0.0, 89.4, 800, np.inf, np.nan]
    x = np.array(x)
    with np.errstate(over="ignore"):
        return np.concatenate([x, -x]).astype(dtype)


def softplus(x: mpmath.mpf) -> mpmath.mpf:
    """log(1 + e^x), as max(x, 0) + log(1 + e^-|x|)."""
    return max(x, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(x)))


@pytest.mark.parametrize(("beta", "dtype"), [(1, "float32"), (2, "float32"), (1, "float64")])
def test_small_results_of_softplus(beta, dtype):
    limits = np.finfo(dtype)
    x = np.concatenate([np.linspace(-80, 80, 1601), [1e-30, 0, np.inf, -np.inf, np.nan]])
    x = (x / beta).astype(dtype)
    mod = module(lambda x: op.nn.softplus(x, beta, 40.0), x.shape, dtype=dtype)
    (found,) = quake_tvm.compile(mod, method="exact").run(x)
    wanted = [float(softplus(mpmath.mpf(beta * float(v))) / beta) for v in x[:-3]]
    np.testing.assert_allclose(found[:-3], wanted, rtol=SPACINGS * limits.eps)
    np.testing.assert_array_equal(found[-3:], [np.inf, 0, np.nan])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(dtype):
    x = operands(dtype)
    mod = module(lambda x: tuple(f(x) for f in FUNCTIONS.values()), x.shape, dtype=dtype)
    limits = np.finfo(dtype)
    for name, found in zip(FUNCTIONS, quake_tvm.compile(mod, method="exact").run(x), strict=True):
        wanted = [getattr(mpmath, name)(mpmath.mpf(float(v))) for v in x]
        with np.errstate(over="ignore"):
            nearest = np.array([float(w) for w in wanted]).astype(dtype)
        seen = np.isfinite(nearest)
        error = np.abs(found[seen].astype("float64") - nearest[seen])
        np.testing.assert_array_equal(found[~seen], nearest[~seen], err_msg=name)
        most = SPACINGS * limits.eps * np.abs(nearest[seen]) + limits.tiny
        assert np.all(error <= most), (name, x[seen][error > most][:5])
        if name != "cosh":
            np.testing.assert_array_equal(np.signbit(found[x == 0]), np.signbit(x[x == 0]), name)


def test_half_precision():
    x = np.array([-3, -1, 0, 1, 2, 5, 6, 7] * 3, "float16")
    mod = module(lambda x: (op.sinh(x), op.cosh(x)), x.shape, dtype="float16")
    for f, found in zip(
        (np.sinh, np.cosh), quake_tvm.compile(mod, method="exact").run(x), strict=True
    ):
        np.testing.assert_allclose(found, f(x.astype("float64")).astype("float16"), rtol=1e-3)
