"""Each rule accepts its kernels, and they compute what the plain loops compute.

The comparison is bit for bit: no rule may change the order of summation of an element.
"""

import numpy as np
import pytest
import tvm
from tvm import te, topi

from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import product_tiles, schedule
from tests.schedules.kernels import both, build_and_run, placeholder

SIZES = [1, 2, 15, 17, 31, 33, 64, 197]


@pytest.mark.parametrize("columns", SIZES)
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_elementwise(rows, columns):
    x, b = placeholder(rows, columns), placeholder(columns, name="b")
    y = compute.elementwise(topi.add(x, b), "gelu", "quake2")
    rule, ours, plain = both([x, b], y)
    assert rule == "elementwise"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("columns", [7, 16, 33])
def test_transpose_and_concat(columns):
    x = placeholder(5, columns)
    y = topi.concatenate([topi.transpose(x), topi.transpose(topi.exp(x))], axis=1)
    rule, ours, plain = both([x], y)
    assert rule == "elementwise"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("operator", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("columns", SIZES)
@pytest.mark.parametrize("rows", [1, 5, 400])
def test_rows(operator, rows, columns):
    x = placeholder(rows, columns)
    rule, ours, plain = both([x], getattr(compute, operator)(x, method="quake3"))
    assert rule == "rows"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("columns", [16, 33, 197])
@pytest.mark.parametrize("rows", [1, 5, 400])
def test_exact_softmax(rows, columns):
    x = placeholder(rows, columns)
    rule, ours, plain = both([x], topi.nn.softmax(x))
    assert rule == "exact_softmax"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("m", [1, 7, 8, 9, 64, 77])
@pytest.mark.parametrize("n", [16, 48, 128])
@pytest.mark.parametrize("k", [1, 3, 64])
def test_matmul_with_epilogue(m, n, k):
    a, w, b = placeholder(m, k, name="a"), placeholder(k, n, name="w"), placeholder(n, name="b")
    y = compute.elementwise(topi.add(topi.matmul(a, w), b), "gelu", "quake2")
    rule, ours, plain = both([a, w, b], y)
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("batch", [1, 3])
def test_batched_matmul(batch):
    a, b = placeholder(batch, 24, 32, name="a"), placeholder(batch, 32, 48, name="b")
    rule, ours, plain = both([a, b], topi.nn.batch_matmul(a, b, transpose_b=False))
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3", "native"])
@pytest.mark.parametrize("m", [1, 8, 13, 130])
@pytest.mark.parametrize("n", [4, 7, 20, 48, 144, 257, 1000])
def test_packed_matmul(m, n, name):
    width = product_tiles.panel(m, n, target(name))
    a, b = placeholder(2, m, 24, name="a"), placeholder(n, name="b")
    weights = np.random.default_rng(1).normal(size=(24, n)).astype(np.float32)
    packed = panels(weights, width)
    w = placeholder(*packed.shape, name="w")
    y = compute.elementwise(topi.add(packed_matmul(a, w, n), b), "gelu", "quake2")
    rule, ours, plain = both([a, w, b], y, name, {"w": packed})
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("rows", [1, 6, 16, 33, 128])
def test_norm_and_sum(rows):
    x, g, b = placeholder(2, rows, 70), placeholder(70, name="g"), placeholder(70, name="b")
    rule, ours, plain = both([x, g, b], topi.nn.layer_norm(x, g, b, axis=[2]))
    assert rule == ("reduction" if rows % 4 == 0 else "fallback")
    np.testing.assert_array_equal(ours, plain)
    _, ours, plain = both([x], topi.sum(x, axis=2))
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("outer", [(2, 3), (3, 3), (3, 7), (5, 5), (11, 2), (9, 1)], ids=str)
def test_norm_of_rows_over_two_axes(outer):
    """Blocks of rows that end inside of the second axis."""
    x, g, b = placeholder(*outer, 33), placeholder(33, name="g"), placeholder(33, name="b")
    _, ours, plain = both([x, g, b], topi.nn.layer_norm(x, g, b, axis=[2]))
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize(("rows", "length"), [(5, 17), (7, 33), (33, 33), (6, 20)])
def test_variance_of_odd_rows(rows, length):
    """Stages that pass whole rows to the next stage. TVM may let them share memory."""
    x = placeholder(rows, length)
    apart = topi.subtract(x, topi.sum(x, 1, keepdims=True) / float(length))
    y = topi.sum(topi.multiply(apart, apart), 1, keepdims=True) / float(length)
    rule, ours, plain = both([x], y)
    assert rule == "reduction"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize(("rows", "columns"), [(30, 64), (2, 64), (37, 50), (1, 3), (33, 33)])
def test_beginning_of_a_product(rows, columns):
    width = product_tiles.panel(37, 64, target())
    a, b = placeholder(37, 24, name="a"), placeholder(64, name="b")
    weights = np.random.default_rng(1).normal(size=(24, 64)).astype(np.float32)
    packed = panels(weights, width)
    w = placeholder(*packed.shape, name="w")
    y = topi.nn.relu(topi.add(packed_matmul(a, w, 64), b))
    y = topi.strided_slice(y, [0, 0], [rows, columns])
    rule, ours, plain = both([a, w, b], y, given={"w": packed})
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("n", [15, 33])
def test_matmul_of_awkward_width(n):
    a, w = placeholder(9, 20, name="a"), placeholder(20, n, name="w")
    rule, ours, plain = both([a, w], topi.matmul(a, w))
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("rows", [1, 3, 4, 17, 33, 64, 197])
def test_sum_along_rows(rows):
    x = placeholder(rows, 70)
    rule, ours, plain = both([x], topi.sum(x, axis=1))
    assert rule == ("reduction" if rows >= 4 else "fallback")
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("width", [1, 5, 16, 37])
def test_convolution_falls_back(width):
    x, w = placeholder(1, 6, 9, width), placeholder(8, 6, 3, 1, name="w")
    rule, ours, plain = both([x, w], topi.nn.relu(topi.nn.conv2d(x, w, 1, (1, 0), 1, "NCHW")))
    assert rule == "fallback"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("columns", [1, 15, 64])
def test_reduction_over_another_axis(columns):
    x = placeholder(3, 40, columns)
    rule, ours, plain = both([x], topi.sum(x, axis=1))
    assert rule == ("pooling" if columns > 1 else "fallback")
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 40, 1000])
@pytest.mark.parametrize("operator", ["softmax", "log_softmax", "logsumexp"])
def test_dynamic_rows_have_the_bits_of_static_ones(operator, length):
    n = te.var("n", dtype="int64")
    dynamic, static = placeholder(6, n), placeholder(6, length)
    x = np.random.default_rng(1).normal(size=(6, length)).astype(np.float32)
    results = []
    for t in (dynamic, static):
        if length == 0 and t is static:
            continue
        y = getattr(compute, operator)(t, method="quake2")
        kernel = tvm.compile(schedule(te.create_prim_func([t, y]), target()), target=target())
        out = tvm.runtime.empty(x.shape if operator != "logsumexp" else x.shape[:1], "float32")
        kernel["main"](tvm.runtime.tensor(x), out)
        results.append(out.numpy())
    np.testing.assert_array_equal(results[0], results[-1])


@pytest.mark.parametrize("length", [1, 16, 40])
def test_dynamic_single_row_with_a_mask_has_the_bits_of_a_static_one(length):
    arrays = [np.random.default_rng(n).normal(size=length).astype(np.float32) for n in range(2)]
    results = []
    for size in (te.var("n", dtype="int64"), length):
        x, mask = placeholder(size), placeholder(size, name="mask")
        y = compute.softmax(x, mask, method="quake2")
        function = schedule(te.create_prim_func([x, mask, y]), target())
        results.append(build_and_run(function, arrays, (length,)))
    np.testing.assert_array_equal(*results)


def test_static_sums_added_to_dynamic_rows():
    n = te.var("n", dtype="int64")
    x, rows = placeholder(16, 64), te.placeholder((n, 16), name="rows")
    sums = topi.sum(x, axis=1)
    y = te.compute(rows.shape, lambda i, j: rows[i, j] + sums[j], name="y")
    scheduled = schedule(te.create_prim_func([x, rows, y]), target())
    arrays = [np.ones((16, 64), np.float32), np.ones((3, 16), np.float32)]
    np.testing.assert_array_equal(build_and_run(scheduled, arrays, (3, 16)), np.full((3, 16), 65))


@pytest.mark.parametrize("columns", [7, 16])
def test_reduction_of_truth_values(columns):
    x = placeholder(20, columns)
    flags = te.compute(x.shape, lambda *i: x[i] > tvm.tirx.const(0.5, "float32"), name="flags")
    y = topi.max(topi.cast(topi.logical_not(flags), "int8"), axis=1)
    rule, ours, plain = both([x], y)
    assert rule == "reduction"
    np.testing.assert_array_equal(ours, plain)
