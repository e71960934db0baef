"""Properties of operators and rungs near zero, in the tails, without guards, with parameters."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quake_tvm import accuracy
from quake_tvm.accuracy.float32_inputs import bit_patterns
from quake_tvm.machines.targets import target
from quake_tvm.numerics import reference
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
EVERY_SITE = list(itertools.product(ELEMENTWISE, METHODS))


@pytest.fixture(scope="module")
def run():
    """Runs an operator's compiled kernel on this machine. Kernels are built once a module."""
    built = {}

    def kernel(operator, method, ieee=True, **parameters):
        key = operator, method, ieee, tuple(parameters.items())
        if key not in built:
            built[key] = accuracy.kernel(operator, method, target(), ieee, **parameters)
        return built[key]

    return kernel


def assert_within_bound(operator, method, x, q, **parameters):
    row, promised = OPERATORS[operator], bound(operator, method)
    values = {**row.parameters, **parameters}
    with np.errstate(all="ignore"):
        y = row.reference(reference.NUMPY, x.astype(np.float64), **values)
    scale = max(1.0, *(abs(v) for v in values.values()))
    # A parameter other than 1 rounds, once in the result and once in exp's argument.
    rounding = 2.0**-22 + 2.0**-24 * scale * np.abs(x)
    allowed = (promised.relative + rounding) * np.abs(y) + promised.absolute * scale
    assert np.all(np.abs(q - y) <= allowed)


@pytest.mark.parametrize(("operator", "method"), EVERY_SITE)
def test_finite_mode_has_the_bits_of_ieee_mode(run, operator, method):
    x = np.concatenate(list(bit_patterns(1 << 16)))
    x = x[np.isfinite(x)]
    guarded, unguarded = run(operator, method)(x), run(operator, method, ieee=False)(x)
    if method == "quake1" and operator in ("exp", "exp2"):
        # Between FLT_MAX and the clamp, quake1 without the guard stays finite for a few more
        # inputs.
        inside = np.isfinite(guarded)
        guarded, unguarded = guarded[inside], unguarded[inside]
    np.testing.assert_array_equal(guarded.view(np.uint32), unguarded.view(np.uint32))


@pytest.mark.parametrize(("operator", "method"), EVERY_SITE)
def test_nothing_but_what_is_below_the_smallest_normal_becomes_zero(run, operator, method):
    x = np.concatenate([*bit_patterns(1 << 14), np.linspace(-130, 130, 40_001, dtype=np.float32)])
    x = x[np.isfinite(x)]
    row, q = OPERATORS[operator], run(operator, method)(x)
    with np.errstate(all="ignore"):
        y = row.reference(reference.NUMPY, x.astype(np.float64), **row.parameters)
    assert not np.any(np.isnan(q))
    smallest = np.finfo(np.float32).tiny * np.maximum(1, np.abs(x)).astype(np.float64)
    large = np.abs(y) >= (1 + 2 * bound(operator, method).relative) * smallest
    np.testing.assert_array_equal(np.sign(q[large]), np.sign(y[large]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("operator", "x"),
    [
        ("tanh", 1e-3), ("tanh", -1e-6), ("erf", 1e-3), ("sigmoid", -80), ("softplus", -80),
        ("elu", -1e-5), ("selu", -1e-5), ("celu", -1e-5), ("mish", -80), ("silu", -80),
        ("gelu", 1e-5), ("gelu_tanh", 1e-5), ("exp", -87), ("exp2", -125.5),
    ],
)  # fmt: skip
def test_relative_precision_near_zero_and_in_the_tails(run, operator, x, method):
    x = np.float32([x])
    exact = OPERATORS[operator].reference(reference.NUMPY, x.astype(np.float64))
    error = np.abs(run(operator, method)(x) / exact - 1)
    # The error is compared with the relative bound only, without the absolute term.
    assert error <= bound(operator, method).relative


@pytest.mark.parametrize("method", ["quake1", "quake2", "quake5"])
@pytest.mark.parametrize(
    ("operator", "name"),
    [("silu", "beta"), ("softplus", "beta"), ("elu", "alpha"), ("celu", "alpha")],
)
@settings(max_examples=5, deadline=None)
@given(value=st.floats(0.125, 8, width=32))
def test_parameters(operator, name, method, value):
    kernel = accuracy.kernel(operator, method, target(), **{name: value})
    x = np.linspace(-10, 10, 4001, dtype=np.float32)
    assert_within_bound(operator, method, x, kernel(x), **{name: value})


def test_exp_of_zero_is_one_on_the_upper_rungs(run):
    for method in ("quake3", "quake4", "quake5"):
        np.testing.assert_array_equal(run("exp", method)(np.float32([0, -0.0])), 1)


@pytest.mark.parametrize("method", ["quake3", "quake4", "quake5"])
def test_exp2_is_exact_at_integers(run, method):
    n = np.arange(-126, 128, dtype=np.float32)
    np.testing.assert_array_equal(run("exp2", method)(n), np.exp2(n.astype(np.float64)))
