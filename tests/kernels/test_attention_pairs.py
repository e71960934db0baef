"""Attention of bfloat16 operands: exact sums of what is rounded, the same bits for every build."""

import functools

import ml_dtypes
import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.machines.targets import target
from quake_tvm.numerics import row_bounds
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import schedule
from quake_tvm.schedules.attention import tiles
from tests.kernels.test_attention import reference

SCALE = 0.25
# Batch, heads, rows, keys, features of q and of v.
SIZES = [
    (1, 2, 128, 128, 32, 32),
    (2, 1, 17, 49, 18, 33),
    (1, 1, 3, 5, 16, 16),
    (1, 1, 1, 1, 16, 16),
    (1, 3, 40, 63, 64, 48),
    (1, 1, 9, 1101, 32, 48),
]
# Without the instruction, with vectors of two widths.
WITHOUT = [pytest.param("x86-64-v2", marks=pytest.mark.sweep), "x86-64-v3"]
PLAIN = (Operand(),) * 4


def function(sizes, name, masked=False):
    batch, heads, length, keys, depth, width = sizes
    shapes = [(batch, heads, n, f) for n, f in ((length, depth), (keys, depth), (keys, width))]
    shapes += [(length, keys)] * masked
    tensors = [te.placeholder(s, name=f"t{n}") for n, s in enumerate(shapes)]
    known = [n if isinstance(n, int) else None for n in (length, keys)]
    chosen = tiles(*known, width, target(name))
    options = {"operands": PLAIN, "tiles": chosen, "method": "quake5", "scale": SCALE}
    result = attention(*tensors, **options, precision="bfloat16")
    return schedule(te.create_prim_func([*tensors, result], "int64"), target(name))


def built(functions, name):
    named = {key: f.with_attr("global_symbol", key) for key, f in functions.items()}
    return tvm.compile(tvm.IRModule(named), target=target(name), tir_pipeline=lower_kernels.NAME)


def run(kernel, arrays):
    q, v = arrays[0], arrays[2]
    out = tvm.runtime.empty((*q.shape[:3], v.shape[3]), "float32")
    kernel(*map(tvm.runtime.tensor, arrays), out)
    return out.numpy()


def operands(sizes):
    batch, heads, length, keys, depth, width = sizes
    rng = np.random.default_rng(keys)
    shapes = [(length, depth), (keys, depth), (keys, width)]
    return [rng.normal(size=(batch, heads, *s)).astype(np.float32) for s in shapes]


def rounded(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


@functools.cache
def results(name):
    """The result of each size on a target."""
    library = built({f"f{k}": function(s, name) for k, s in enumerate(SIZES)}, name)
    return [run(library[f"f{k}"], operands(s)) for k, s in enumerate(SIZES)]


@pytest.mark.parametrize("k", range(len(SIZES)), ids=map(str, SIZES))
def test_against_float64(k):
    exact = reference(*map(rounded, operands(SIZES[k])), scale=SCALE)
    most = np.abs(operands(SIZES[k])[2]).max()
    # The weights, whose sum is 1, are rounded as well.
    allowed = (row_bounds.attention("quake5", SIZES[k][3]) + 2.0**-9) * most + 1e-5
    assert np.abs(results("native")[k] - exact).max() <= allowed


@pytest.mark.parametrize("name", WITHOUT)
def test_the_same_bits_without_the_instruction(name):
    for found, wanted in zip(results(name), results("native"), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_sizes_that_only_the_run_knows():
    for features in {s[4:] for s in SIZES}:
        extents = [te.var(axis, dtype="int64") for axis in "bhln"]
        kernel = built({"main": function((*extents, *features), "native")}, "native")["main"]
        for k, sizes in enumerate(SIZES):
            if sizes[4:] == features:
                found = run(kernel, operands(sizes))
                np.testing.assert_array_equal(found, results("native")[k], str(sizes))


def test_special_rows_stay_alone():
    sizes = (1, 1, 20, 51, 16, 16)
    kernel = built({"main": function(sizes, "native", masked=True)}, "native")["main"]
    q, k, v = operands(sizes)
    v[0, 0, 50, 3] = np.inf  # the last one, which is paired with a zero
    mask = np.zeros((20, 51), np.float32)
    plain = run(kernel, [q, k, v, mask])
    assert np.isinf(plain[..., 3]).all()
    assert np.isfinite(np.delete(plain, 3, -1)).all()
    mask[3, 7], mask[5] = np.nan, -np.inf
    found = run(kernel, [q, k, v, mask])
    assert np.isnan(found[0, 0, [3, 5]]).all()
    others = [n for n in range(20) if n not in (3, 5)]
    np.testing.assert_array_equal(found[0, 0, others], plain[0, 0, others])
