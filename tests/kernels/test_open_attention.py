"""Attention whose sizes only the run knows has the bits of the kernels for these sizes."""

import functools
import re

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.kernels import compute
from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.attention import tiles
from tests.kernels.test_assembly import LIBM, MACHINES
from tests.kernels.test_attention import allowed, reference

HEADS_LAST = Operand((0, 2, 1, 3))
DEPTH, WIDTH, SCALE = 32, 32, 0.25
# Rows and keys. The static kernels of a library are compiled at once.
SHORT = [
    (1, 1), (1, 16), (1, 300), (2, 5), (3, 15), (4, 31), (5, 17), (7, 7), (7, 64), (8, 48),
    (9, 100), (13, 1023), (16, 2), (17, 3), (31, 8), (32, 32), (33, 33), (37, 37), (64, 9),
    (128, 128), (2, 1024), (23, 47), (40, 63),
]  # fmt: skip
LONG = [(1, 1025), (2, 1500), (9, 1100), (3, 2048), (1, 57 * 1024 + 1)]


def function(
    batch, heads, length, keys, masked, name, method="quake2", width=WIDTH, row_mask=1, empty=None
):
    shapes = [
        HEADS_LAST.at(batch, heads, length, DEPTH),
        HEADS_LAST.at(batch, heads, keys, DEPTH),
        HEADS_LAST.at(batch, heads, keys, width),
    ]
    shapes += [(batch, 1, row_mask, keys)] * masked
    tensors = [te.placeholder(s, name=f"t{n}") for n, s in enumerate(shapes)]
    known = [n if isinstance(n, int) else None for n in (length, keys)]
    result = attention(
        *tensors,
        operands=(HEADS_LAST,) * 4,
        tiles=tiles(*known, width, target(name)),
        method=method,
        scale=SCALE,
        empty=empty,
    )
    done = schedule(te.create_prim_func([*tensors, result], "int64"), target(name))
    assert done.attrs[RULE] == "attention"
    return done


def library(functions, name):
    named = {key: f.with_attr("global_symbol", key) for key, f in functions.items()}
    return tvm.compile(tvm.IRModule(named), target=target(name), tir_pipeline=lower_kernels.NAME)


def any_size(masked, name, **options):
    extents = [te.var(axis, dtype="int64") for axis in "bhln"]
    return function(*extents, masked, name, **options)


@functools.cache
def of_any_size(masked, name, **options):
    return library({"main": any_size(masked, name, **options)}, name)["main"]


def operands(batch, heads, length, keys, masked, width=WIDTH):
    rng = np.random.default_rng(length * keys)
    shapes = [(length, DEPTH), (keys, DEPTH), (keys, width)]
    arrays = [rng.normal(size=(batch, n, heads, f)).astype(np.float32) for n, f in shapes]
    if masked:
        hidden = rng.random((batch, 1, 1, keys)) < 0.2
        arrays.append(np.where(hidden, -np.inf, rng.normal(size=hidden.shape)).astype(np.float32))
        arrays[-1][0] = -np.inf  # all keys
    return arrays


def run(kernel, arrays):
    q, v = arrays[0], arrays[2]
    out = tvm.runtime.empty((*q.shape[:3], v.shape[3]), "float32")
    kernel(*map(tvm.runtime.tensor, arrays), out)
    return out.numpy()


def exact(arrays):
    q, k, v = (a.transpose(HEADS_LAST.axes) for a in arrays[:3])
    mask = arrays[3].astype(np.float64) if len(arrays) > 3 else 0.0
    return reference(q, k, v, mask, SCALE).transpose(HEADS_LAST.axes)


@pytest.mark.parametrize("name", ["x86-64-v3", "native"])
@pytest.mark.parametrize("masked", [False, True])
def test_static_kernels_have_the_same_bits(masked, name):
    # A static kernel takes seconds to compile, so each case has other sizes.
    sizes = (SHORT + LONG[:2])[2 * masked + (name == "native") :: 4]
    batches = [(1 + n % 4, 1 + n % 3) for n in range(len(sizes))]
    static = library(
        {
            f"main_{n}": function(*outer, *size, masked, name)
            for n, (outer, size) in enumerate(zip(batches, sizes, strict=True))
        },
        name,
    )
    for n, (outer, size) in enumerate(zip(batches, sizes, strict=True)):
        arrays = operands(*outer, *size, masked)
        ours = run(of_any_size(masked, name), arrays)
        np.testing.assert_array_equal(ours, run(static[f"main_{n}"], arrays), err_msg=str(size))


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3", "native"])
@pytest.mark.parametrize("masked", [False, True])
def test_against_float64(masked, name):
    for size in SHORT + LONG:
        arrays = operands(2, 2, *size, masked)
        ours, y = run(of_any_size(masked, name, method="quake5"), arrays), exact(arrays)
        assert np.array_equal(np.isnan(ours), np.isnan(y)), size
        error = np.abs(ours - y)
        assert np.nanmax(error[-1]) <= allowed("quake5", arrays[2]), size


@pytest.mark.parametrize("name", ["x86-64-v3", "native"])
def test_vectors_of_other_widths_have_the_same_bits(name):
    """Whatever the tiles: the order of a sum does not depend on the target."""
    for size in [(5, 7), (37, 37), (9, 100), (3, 2048)]:
        arrays = operands(2, 2, *size, True)
        first = run(of_any_size(True, "x86-64-v2"), arrays)
        np.testing.assert_array_equal(run(of_any_size(True, name), arrays), first)


@pytest.mark.parametrize(("length", "keys"), [(1, 1), (3, 5), (7, 16), (5, 33), (20, 100)])
def test_whole_rows_have_the_bits_of_the_separate_kernels(length, keys):
    """Products whose sums run from the first element to the last, and softmax between them."""
    arrays = operands(1, 1, length, keys, False)
    q, k, v = (te.placeholder(a.shape, name=f"t{n}") for n, a in enumerate(arrays))
    over_d, over_n = te.reduce_axis((0, DEPTH)), te.reduce_axis((0, keys))
    scores = te.compute(
        (1, 1, length, keys),
        lambda b, h, i, j: te.sum(q[b, i, h, over_d] * k[b, j, h, over_d], over_d),
    )
    weights = compute.softmax(scores, method="quake2", scale=SCALE)
    result = te.compute(
        (1, length, 1, WIDTH),
        lambda b, i, h, e: te.sum(weights[b, h, i, over_n] * v[b, over_n, h, e], over_n),
    )
    plain = te.create_prim_func([q, k, v, result], "int64")
    built = tvm.compile(plain, target=target("native"))["main"]
    np.testing.assert_array_equal(run(of_any_size(False, "native"), arrays), run(built, arrays))


@pytest.mark.parametrize("name", ["x86-64-v3", "native"])
def test_empty_rows_give_zero(name):
    kernel = of_any_size(True, name, empty=0.0)
    for size in [(1, 1), (3, 5), (20, 50), (9, 1100)]:
        arrays = operands(2, 2, *size, True)
        found = run(kernel, arrays)
        np.testing.assert_array_equal(found[0], 0)
        np.testing.assert_array_equal(found[1], run(of_any_size(True, name), arrays)[1])


@pytest.mark.parametrize("length", [256, 300, 1000])
def test_rows_of_one_head_in_several_parts(length):
    """Few heads: their rows are units of work of their own, with the same bits."""
    arrays = operands(1, 1, length, 37, False)
    static = library({"main": function(1, 1, length, 37, False, "native")}, "native")["main"]
    found = run(of_any_size(False, "native"), arrays)
    np.testing.assert_array_equal(found, run(static, arrays))
    first = [arrays[0][:, :100].copy(), *arrays[1:]]
    np.testing.assert_array_equal(found[:, :100], run(of_any_size(False, "native"), first))


def test_one_head():
    """Of one head there is no loop over heads."""
    length, keys = (te.var(axis, dtype="int64") for axis in "ln")
    kernel = library({"main": function(1, 1, length, keys, False, "native")}, "native")["main"]
    arrays = operands(1, 1, 9, 20, False)
    found = run(kernel, arrays)
    np.testing.assert_array_equal(found, run(of_any_size(False, "native"), arrays))


def test_special_values_stay_in_their_rows():
    kernel = of_any_size(False, "native")
    for size in [(7, 9), (20, 50), (9, 1100)]:
        arrays = operands(1, 2, *size, False)
        plain = run(kernel, arrays)
        arrays[0][0, 3, 0, 5], arrays[0][0, 5, 1, 0] = np.nan, np.inf
        found = run(kernel, arrays)
        assert np.isnan(found[0, 3, 0]).all()
        assert np.isnan(found[0, 5, 1]).all()
        kept = np.ones(found.shape, bool)
        kept[0, 3, 0] = kept[0, 5, 1] = False
        np.testing.assert_array_equal(found[kept], plain[kept])


def test_a_mask_for_every_row():
    n = te.var("l", dtype="int64")
    made = function(2, 3, n, n, True, "native", row_mask=n)
    kernel = library({"main": made}, "native")["main"]
    for length in (1, 7, 40):
        arrays = operands(2, 3, length, length, False)
        rng = np.random.default_rng(length)
        arrays.append(rng.normal(size=(2, 1, length, length)).astype(np.float32))
        assert np.abs(run(kernel, arrays) - exact(arrays)).max() <= allowed("quake2", arrays[2])


@pytest.mark.parametrize("width", [16, 24, 40])
def test_a_width_that_is_no_multiple_of_the_tile(width):
    kernel = of_any_size(True, "x86-64-v3", method="quake5", width=width)
    for size in [(7, 9), (20, 50), (9, 1100), (2, 2500)]:
        arrays = operands(2, 2, *size, True, width=width)
        error = np.abs(run(kernel, arrays) - exact(arrays))
        assert np.nanmax(error[-1]) <= allowed("quake5", arrays[2]), size


@pytest.mark.parametrize(("batch", "length", "keys"), [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_nothing_to_do(batch, length, keys):
    found = run(of_any_size(False, "native"), operands(batch, 2, length, keys, False))
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4", "aarch64"])
def test_machine_code(name):
    """No call to libm, and the products multiply and add whole vectors in one instruction."""
    asm = library({"main": any_size(True, name)}, name).mod.inspect_source("asm")
    assert not LIBM.search(asm)
    assert re.search(MACHINES[name][0], asm)
    fused = {"x86-64-v3": r"vfmadd\w+ps.*ymm", "x86-64-v4": r"vfmadd\w+ps.*zmm"}
    assert len(re.findall(fused.get(name, r"fmla\s+v\d+\.4s"), asm)) > 100
