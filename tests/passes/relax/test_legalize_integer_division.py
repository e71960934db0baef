"""Integer divisions by 0 and by -1 give results where the processor would end the program."""

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from tests.helpers import module

op = relax.op


def wanted(x, y):
    """The expected results of divide, floor_divide, mod and floor_mod."""
    safe = np.where(y == 0, 1, y)
    with np.errstate(all="ignore"):
        floor, rest = x // safe, x % safe
        inexact = (rest != 0) & ((x < 0) != (safe < 0))
        toward_zero = floor + inexact
        fmod = np.fmod(x, safe)
    return [np.where(y == 0, 0, z).astype(x.dtype) for z in (toward_zero, floor, fmod, rest)]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("shapes", [((5, 33), (5, 33)), ((5, 1), (33,))])
def test_values(dtype, shapes):
    ends = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    x = rng.integers(ends.min, ends.max, shapes[0], dtype, endpoint=True)
    y = rng.integers(max(ends.min, -3), 4, shapes[1]).astype(dtype)
    x[..., 0] = ends.min
    divisions = (op.divide, op.floor_divide, op.mod, op.floor_mod)
    mod = module(lambda x, y: tuple(f(x, y) for f in divisions), *shapes, dtype=dtype)
    found = quake_tvm.compile(mod, method="exact").run(x, y)
    for name, a, b in zip(divisions, found, wanted(x, y), strict=True):
        np.testing.assert_array_equal(a, b, str(name))


@pytest.mark.parametrize("divisor", [[2, 0, -1, 5], 0, -1])
def test_constants(divisor):
    x = np.array([np.iinfo("int32").min, 7, np.iinfo("int32").min, -9], "int32")
    y = np.array(divisor, "int32")
    divisions = (op.divide, op.floor_divide, op.mod, op.floor_mod)
    mod = module(lambda x: tuple(f(x, relax.const(y)) for f in divisions), x.shape, dtype="int32")
    found = quake_tvm.compile(mod, method="exact").run(x)
    for name, a, b in zip(divisions, found, wanted(x, y), strict=True):
        np.testing.assert_array_equal(a, b, str(name))
