"""Casts of bfloat16 on all values, against ml_dtypes, alone and fused."""

import ml_dtypes
import numpy as np
import pytest
from tvm import relax

import quake_tvm
from tests.helpers import module

op = relax.op
ALL = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16)


def floats():
    """Float32 values: near every bfloat16 and every tie between two, and any others."""
    upper = np.arange(2**16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    rest = np.random.default_rng(0).integers(0, 2**32, 2**16, np.uint32)
    return np.concatenate([(upper[:, None] | lower).ravel(), rest]).view(np.float32)


def assert_same(found, wanted):
    nan = np.isnan(wanted)
    np.testing.assert_array_equal(np.isnan(found), nan)
    np.testing.assert_array_equal(found[~nan], wanted[~nan])


@pytest.mark.parametrize("to", ["float32", "float64", "float16", "int32", "bool"])
def test_from_bfloat16(to):
    x = ALL if to not in ("int32",) else ALL[np.abs(ALL.astype("float32")) < 2**31]
    mod = module(lambda x: op.astype(x, to), x.shape, dtype="bfloat16")
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype("float32").astype(to)
    (found,) = quake_tvm.compile(mod).run(x)
    assert_same(found, wanted)


@pytest.mark.parametrize("of", ["float32", "float64"])
def test_to_bfloat16(of):
    x = floats().astype(of)
    mod = module(lambda x: op.astype(x, "bfloat16"), x.shape, dtype=of)
    (found,) = quake_tvm.compile(mod).run(x)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype("float32").astype(ml_dtypes.bfloat16)
    assert found.dtype == wanted.dtype
    assert_same(found.astype("float32"), wanted.astype("float32"))


def test_to_bfloat16_and_back_inside_a_kernel():
    """The cast's result has a name here, since it is used twice."""

    def formula(x):
        y = op.multiply(x, x)
        return op.add(op.exp(y), y)

    x = np.linspace(-3, 3, 101).astype(ml_dtypes.bfloat16)
    mod = module(formula, x.shape, dtype="bfloat16")
    (found,) = quake_tvm.compile(mod, method="quake5").run(x)
    y = x.astype("float64") ** 2
    np.testing.assert_allclose(found.astype("float64"), np.exp(y) + y, rtol=2**-8)
