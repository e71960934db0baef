"""Element-wise operators are within their bounds on every emulated machine, special values too.

What flushing to zero costs is in the bounds' absolute term. NEON on ARMv7 flushes inputs as well,
which costs as much again.
"""

import functools

import numpy as np
import pytest

from quake_tvm.accuracy import error, exact
from quake_tvm.approximation import METHODS
from quake_tvm.inputs import SMALLEST_NORMAL
from quake_tvm.named_targets import target
from quake_tvm.operators import OPERATORS, bound
from tests.emulation.machines import ARMV7, MACHINES
from tests.test_bits import ELEMENTWISE, INPUTS, results

X, _ = INPUTS["spread"]


@functools.cache
def exactly(operator):
    return exact(operator, target(), **OPERATORS[operator].parameters)(X)


@functools.cache
def measure(absolute):
    return error(target(), absolute)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_bounds(operator, method, name):
    found, promised = results(name)[f"{operator} {method} spread"], bound(operator, method)
    flushed = SMALLEST_NORMAL if name == ARMV7 else 0
    relative = measure(promised.absolute + flushed)(found, exactly(operator))
    worst = np.nanargmax(np.where(np.isnan(X), 0, relative))
    assert relative[worst] <= promised.relative, X[worst]


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_special_values(operator, name):
    for method in METHODS:
        found = results(name)[f"{operator} {method} spread"]
        for x, y in OPERATORS[operator].special.items():
            at = np.isnan(X) if np.isnan(x) else np.float32(x) == X
            near = abs(np.nan_to_num(y, posinf=0)) * bound(operator, method).relative
            assert at.any()
            np.testing.assert_allclose(found[at], y, rtol=0, atol=near, err_msg=f"{method} {x}")


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize("negative", [False, True])
def test_armv7_takes_subnormal_inputs_for_zeros_of_their_sign(operator, negative):
    near = (np.abs(X) < SMALLEST_NORMAL) & (np.signbit(X) == negative)
    for method in METHODS:
        found = results(ARMV7)[f"{operator} {method} spread"].view(np.uint32)
        assert set(found[near]) == set(found[near & (X == 0)]), method
