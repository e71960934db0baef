"""Where the proof's float32 numbers overflow and underflow, as NumPy rounds them."""

import numpy as np
import pytest

from quake_tvm.passes.chain_proof import _FLOAT32

BIG, SMALL = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal


@pytest.mark.parametrize("edge", [float(BIG) + 2.0**103, float(SMALL) / 2])
def test_limits_of_float32(edge: float) -> None:
    """The neighbours of a limit in float64 are rounded to one side each."""
    for x in np.nextafter(edge, [0.0, np.inf]):
        with np.errstate(over="ignore", under="ignore"):
            rounded = np.float32(x)
        found = _FLOAT32.add(_FLOAT32.exact(np.array([x])), _FLOAT32.exact(np.zeros(1)))
        assert bool(found.lost[0]) == bool(np.isinf(rounded) or rounded == 0)
        if found.lost[0]:
            assert found.high[0] == rounded
