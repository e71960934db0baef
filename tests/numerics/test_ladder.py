"""The ladder's tables agree with their derivation, and their errors with the stated ones."""

import numpy as np
import pytest
from numpy.polynomial import polynomial

from quake_tvm.numerics import derivation, ladder
from quake_tvm.numerics.ladder import LADDER, LOG, METHODS, affine_exp2
from quake_tvm.numerics.operators import bound

FRACTIONS = np.linspace(0, 1, 100_001)


@pytest.fixture(scope="module")
def derived():
    return derivation.tables()


@pytest.mark.parametrize("name", ["exp2", "expm1", "log1p", "tanh", "erf", "erfcx"])
@pytest.mark.parametrize("method", METHODS)
def test_tables_are_what_the_derivation_gives(derived, name, method):
    kept = np.float32(getattr(LADDER[method], name))
    # One unit in the last place of the leading coefficient: linear algebra differs by platform.
    slack = np.spacing(np.max(np.abs(kept))) * 4
    np.testing.assert_allclose(kept, derived[name][method], rtol=0, atol=slack)


def test_log_table_is_what_the_derivation_gives(derived):
    np.testing.assert_allclose(np.float32(LOG), derived["log"]["all"], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_polynomial_alone_is_within_the_proven_bound_of_exp(method):
    p = polynomial.polyval(FRACTIONS, LADDER[method].exp2)
    error = np.abs(p / 2**FRACTIONS - 1)
    assert np.max(error) <= bound("exp", method).relative


@pytest.mark.parametrize("method", ["quake3", "quake4", "quake5"])
def test_upper_rungs_are_exact_at_powers_of_two(method):
    coefficients = np.float32(LADDER[method].exp2)
    assert coefficients[0] == 1
    assert np.float32(coefficients.astype(np.float64).sum()) == 2


def test_quake2_joins_with_its_slope():
    c0, c1, c2 = LADDER["quake2"].exp2
    assert c0 + c1 + c2 == pytest.approx(2 * c0, rel=1e-6)
    assert c1 + 2 * c2 == pytest.approx(2 * c1, rel=1e-6)


def test_rungs_climb():
    errors = [bound("exp", method).relative for method in METHODS]
    assert errors == sorted(errors, reverse=True)
    assert [LADDER[method].degree for method in METHODS] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("scale", [1.0, -1.702, 0.125, 3e-3])
def test_affine_fold_keeps_twice_the_precision(scale):
    a, a_low, b = affine_exp2(scale, 1.0)
    assert np.float32(a) == a
    assert a + a_low == pytest.approx(scale * ladder.LOG2E, rel=2**-46)
    assert b == np.float32(ladder.LOG2E)
