"""Attention of bytes: near the exact result, with the same bits in every format of groups."""

import functools

import numpy as np
import pytest
from tvm import te

from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.attention import tiles
from tests.kernels.test_attention import reference
from tests.kernels.test_attention_pairs import built, operands, run

SCALE = 0.25
# Batch, heads, rows, keys, features of q and of v.
SIZES = [
    (1, 2, 128, 128, 32, 32),
    (2, 1, 17, 49, 18, 33),
    (1, 1, 1, 1, 18, 33),
    (1, 1, 9, 1101, 18, 33),
]
HERE = ("native", "uint8")
OTHERS = [
    ("x86-64-v3", "int16"),
    pytest.param("x86-64-v2", "int8", marks=pytest.mark.sweep),
]


def function(sizes, name, left, masked=False, empty=None):
    batch, heads, length, keys, depth, width = sizes
    shapes = [(batch, heads, n, f) for n, f in ((length, depth), (keys, depth), (keys, width))]
    shapes += [(length, keys)] * masked
    tensors = [te.placeholder(s, name=f"t{n}") for n, s in enumerate(shapes)]
    known = [n if isinstance(n, int) else None for n in (length, keys)]
    chosen = tiles(*known, width, target(name))
    options = {"operands": (Operand(),) * 4, "tiles": chosen, "method": "quake5", "scale": SCALE}
    result = attention(*tensors, **options, left=left, empty=empty)
    return schedule(te.create_prim_func([*tensors, result], "int64"), target(name))


@functools.cache
def results(name, left):
    """The result of each size on a target."""
    library = built({f"f{k}": function(s, name, left) for k, s in enumerate(SIZES)}, name)
    return [run(library[f"f{k}"], operands(s)) for k, s in enumerate(SIZES)]


def quantized(x, axis):
    """x rounded to bytes with a scale for each vector along an axis."""
    scale = np.abs(x).max(axis, keepdims=True) / np.float32(127)
    return np.rint(x / scale) * scale


@pytest.mark.parametrize("k", range(len(SIZES)), ids=map(str, SIZES))
def test_against_float64(k):
    q, key, v = operands(SIZES[k])
    rounded = quantized(q, -1), quantized(key, -1), quantized(v, -2)
    exact = reference(*rounded, scale=SCALE)
    # A weight is rounded to 2^-14 of the largest, and a score may be rounded the other way.
    assert np.abs(results(*HERE)[k] - exact).max() <= 2e-3 * np.abs(v).max()
    plain = reference(q, key, v, scale=SCALE)
    assert np.abs(results(*HERE)[k] - plain).max() <= 0.02 * np.abs(v).max()


@pytest.mark.parametrize(("name", "left"), OTHERS)
def test_the_same_bits_in_every_format(name, left):
    for found, wanted in zip(results(name, left), results(*HERE), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_sizes_that_only_the_run_knows():
    extents = [te.var(axis, dtype="int64") for axis in "bhln"]
    kernel = built({"main": function((*extents, 18, 33), "native", "uint8")}, "native")["main"]
    for sizes, wanted in zip(SIZES[1:], results(*HERE)[1:], strict=True):
        np.testing.assert_array_equal(run(kernel, operands(sizes)), wanted, str(sizes))


def test_special_rows_stay_alone():
    sizes = (1, 1, 20, 51, 16, 16)
    kernels = built(
        {
            "main": function(sizes, "native", "uint8", masked=True),
            "zeros": function(sizes, "native", "uint8", masked=True, empty=0),
        },
        "native",
    )
    q, k, v = operands(sizes)
    v[0, 0, 50, 3] = np.inf  # the last one, whose group is filled with zeros
    mask = np.zeros((20, 51), np.float32)
    plain = run(kernels["main"], [q, k, v, mask])
    assert np.isnan(plain[..., 3]).all()
    assert np.isfinite(np.delete(plain, 3, -1)).all()
    mask[3, 7], mask[5] = np.nan, -np.inf
    q[0, 0, 8, 2] = np.inf
    found = run(kernels["main"], [q, k, v, mask])
    assert np.isnan(found[0, 0, [3, 5, 8]]).all()
    others = [n for n in range(20) if n not in (3, 5, 8)]
    np.testing.assert_array_equal(found[0, 0, others], plain[0, 0, others])
    zeros = run(kernels["zeros"], [q, k, v, mask])
    np.testing.assert_array_equal(np.delete(zeros[0, 0, 5], 3), 0)


def test_zeros_and_small_numbers():
    sizes = (1, 1, 16, 48, 16, 16)
    kernel = built({"main": function(sizes, "native", "uint8")}, "native")["main"]
    q, k, v = operands(sizes)
    mean = v.mean(2, keepdims=True)
    for small in (0, 1e-40, 1e-30):
        found = run(kernel, [q * np.float32(small), k, v])
        assert np.abs(found - mean).max() <= 0.01 * np.abs(v).max()
    assert not run(kernel, [q, k, v * 0]).any()
