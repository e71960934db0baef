"""Exact values: libm agrees with mpmath within its margin; where it cannot decide, mpmath does."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quake_tvm.accuracy.float32_inputs import SMALLEST_NORMAL, special_inputs
from quake_tvm.accuracy.kernels import exact
from quake_tvm.accuracy.truth import MARGIN, hard, precise, truth
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from tests.numerics.test_bits import ELEMENTWISE

# sigmoid is 1/2 + x/4 - x^3/48 here: slightly below the middle between two float32 values.
# float64 is too coarse to show the difference.
TIE = 3 * 2.0**-23


@functools.cache
def libm(operator):
    return exact(operator, target())


def assert_within_margin(operator, x):
    x = np.float32(x)
    found = libm(operator)(x)
    for each, y in zip(x, found, strict=True):
        right = precise(operator, each)
        if SMALLEST_NORMAL <= abs(right) < np.inf:
            assert abs(y - right) <= MARGIN / 2 * abs(right), each


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_libm_keeps_the_margin_at_special_inputs_and_witnesses(operator):
    x = special_inputs()
    witnesses = [bound(operator, method).witness for method in METHODS]
    assert_within_margin(operator, [*x[np.isfinite(x)], *witnesses])


@pytest.mark.parametrize("operator", ELEMENTWISE)
@settings(max_examples=20, deadline=None)
@given(x=st.lists(st.floats(-104, 104, width=32), min_size=8, max_size=8))
def test_libm_keeps_the_margin(operator, x):
    assert_within_margin(operator, x)


def test_what_libm_cannot_tell_is_settled():
    x = np.float32([TIE, -1.0, 0.3])
    y = truth("sigmoid", target(), settle=True)(x)
    assert libm("sigmoid")(x)[0] == 0.5 + TIE / 4  # float64 rounds the tie to even, which is wrong
    assert np.float32(0.5 + TIE / 4) == np.float32(0.5 + 2.0**-23)
    assert np.float32(y[0]) == np.float32(0.5 + 2.0**-24)
    np.testing.assert_array_equal(y[1:], libm("sigmoid")(x)[1:])


def test_hard_are_those_beside_a_boundary():
    y = np.array([1 + 2.0**-24, 1 + 2.0**-24 * (1 - MARGIN), 1.0, 1.3, -1 - 3 * 2.0**-24])
    near = (1 + 2.0**-24) * (1 + MARGIN / 2)
    cannot = [0.0, np.nan, np.inf, 1.5 * 2.0**-149]
    assert hard(np.array([*y, near, *cannot])).tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_infinities_are_the_registrys(operator):
    x = np.float32([-np.inf, np.inf])
    expected = [OPERATORS[operator].special[float(each)] for each in x]
    np.testing.assert_array_equal(truth(operator, target(), settle=True)(x), expected)
