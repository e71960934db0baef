"""Kernels of several loop nests run on tensors without elements, whose sizes are divisors."""

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.schedules.divisors import above_zero
from tests.helpers import module

op, nn = relax.op, relax.op.nn


@pytest.fixture(scope="module")
def model():
    sizes = [tirx.Var(name, "int64") for name in "abcd"]

    def pooled(x):
        deep = op.expand_dims(x, [1])
        means = nn.avg_pool3d(deep, (3, 1, 1), (1, 1, 1), (1, 0, 0, 1, 0, 0))
        return op.squeeze(means, [1]), op.variance(x, [1, 3]), nn.softmax(op.exp(x), 1)

    return quake_tvm.compile(module(pooled, tuple(sizes)), method="exact")


@pytest.mark.parametrize("empty", [None, 0, 1, 2, 3, (1, 2), (0, 3), (0, 1, 2, 3)])
def test_no_elements(model, empty):
    shape = [2, 3, 4, 5]
    for axis in () if empty is None else np.atleast_1d(empty):
        shape[axis] = 0
    means, variances, shares = model.run({"x0": np.ones(shape, np.float32)})
    assert (list(means.shape), list(shares.shape)) == (shape, shape)
    assert list(variances.shape) == [shape[0], shape[2]]
    assert np.all((means > 0.6) & (means <= 1))


def test_divisors_are_held():
    @T.prim_func(s_tir=True)
    def before(x: T.handle, y: T.handle):
        n, m = T.int64(), T.int64()
        source = T.match_buffer(x, (n, m), "float32")
        out = T.match_buffer(y, (n, m), "float32")
        kept = T.sblock_alloc_buffer((n, m), "float32")
        for k in range(n * m):
            with T.sblock("copy"):
                i = T.axis.spatial(n, k // m)
                j = T.axis.spatial(m, k % m)
                kept[i, j] = source[i, j]
                out[i, j] = kept[i, j] + T.Cast("float32", j // 2)

    @T.prim_func(s_tir=True)
    def expected(x: T.handle, y: T.handle):
        n, m = T.int64(), T.int64()
        source = T.match_buffer(x, (n, m), "float32")
        out = T.match_buffer(y, (n, m), "float32")
        kept = T.sblock_alloc_buffer((n, m), "float32")
        for k in range(n * m):
            with T.sblock("copy"):
                i = T.axis.spatial(n, k // T.max(m, T.int64(1)))
                j = T.axis.spatial(m, k % T.max(m, T.int64(1)))
                kept[i, j] = source[i, j]
                out[i, j] = kept[i, j] + T.Cast("float32", j // 2)

    tvm.ir.assert_structural_equal(above_zero(before).body, expected.body, map_free_vars=True)


def test_known_divisors_and_data_stay():
    @T.prim_func(s_tir=True)
    def function(x: T.Buffer((6, 4), "int32")):
        for k in range(24):
            with T.sblock("set"):
                i = T.axis.spatial(6, k // 4)
                j = T.axis.spatial(4, k % 4)
                x[i, j] = 7 // x[i, j]

    assert above_zero(function).same_as(function)
