"""Element-wise operators on emulated machines: the recorded results, or within their bounds.

ARMv7's NEON treats subnormal numbers as zero, which gives other results. The bounds' absolute term
includes the error of flushing results. Flushing inputs as well adds the same error again.
"""

import numpy as np
import pytest

from quake_tvm.accuracy import exact, record
from quake_tvm.accuracy.float32_inputs import SMALLEST_NORMAL, STRATUM, blocks, stratum
from quake_tvm.accuracy.statistics import Limits, statistics
from quake_tvm.accuracy.sweeps import block_hash, combined
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from tests.emulation import machines
from tests.emulation.machines import ARMV7
from tests.numerics.test_bits import ELEMENTWISE, INPUTS, emulated

X, _ = INPUTS["spread"]


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_aarch64_gives_the_recorded_results(operator):
    on = machines.emulated("neoverse-n1")
    parts = [magnitudes for _, magnitudes in blocks(stratum(STRATUM))]
    x = np.concatenate(parts).view(np.float32)
    x = np.concatenate([x, -x])
    functions = {method: machines.function(operator, method, x.shape) for method in METHODS}
    calls = [machines.call(operator, method, x) for method in METHODS]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    for method, q in zip(METHODS, machines.run(functions, calls, on), strict=True):
        halves = (np.split(half, ends) for half in np.split(q, 2))
        found = combined([block_hash(*both) for both in zip(*halves, strict=True)])
        assert found == record.rungs(operator)[method]["stratum"], method


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_bounds_on_armv7(operator):
    y = exact(operator, target())(X)
    for method in METHODS:
        q, promised = emulated(ARMV7)[f"{operator} {method} spread"], bound(operator, method)
        limits = Limits(promised.absolute + SMALLEST_NORMAL)
        known = ~np.isinf(X)  # libm's formula can be NaN for an infinity
        before = np.concatenate([q[:1], q[known]])
        maxima, _, counts, _ = statistics(target())(y[known], before, limits)
        assert maxima["relative"] <= promised.relative, method
        assert counts["nan"] == 0, method


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_special_values_on_armv7(operator):
    for method in METHODS:
        found = emulated(ARMV7)[f"{operator} {method} spread"]
        for x, y in OPERATORS[operator].special.items():
            at = np.isnan(X) if np.isnan(x) else np.float32(x) == X
            assert at.any()
            np.testing.assert_array_equal(found[at], np.float32(y), err_msg=f"{method} {x}")


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize("negative", [False, True])
def test_armv7_takes_subnormal_inputs_for_zeros_of_their_sign(operator, negative):
    near = (np.abs(X) < SMALLEST_NORMAL) & (np.signbit(X) == negative)
    for method in METHODS:
        found = emulated(ARMV7)[f"{operator} {method} spread"].view(np.uint32)
        assert set(found[near]) == set(found[near & (X == 0)]), method
