"""Indices that come from floats are computed once for each place along an axis."""

import pytest
import tvm
from tvm import te, topi
from tvm.script import tirx as T

from quake_tvm.schedules.tables import in_tables
from quake_tvm.tvm_version import tir
from tests.schedules.symbolic import Symbolic, mixed, sized, variables

SIZES = (0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 33)


def test_an_index_becomes_a_table():
    @T.prim_func(s_tir=True)
    def before(x_: T.handle, y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n))
        y = T.match_buffer(y_, (m, n))
        for i, j in T.grid(m, n):
            with T.sblock("y"):
                v, w = T.axis.remap("SS", [i, j])
                T.reads(x[v, 0:n])
                T.writes(y[v, w])
                y[v, w] = x[v, T.Cast("int64", T.Cast("float32", w) * T.float32(0.5))]

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n))
        y = T.match_buffer(y_, (m, n))
        table = T.sblock_alloc_buffer((n,), "int64")
        for j in range(n):
            with T.sblock("table0"):
                w = T.axis.spatial(n, j)
                T.reads()
                T.writes(table[w])
                table[w] = T.Cast("int64", T.Cast("float32", w) * T.float32(0.5))
        for i, j in T.grid(m, n):
            with T.sblock("y"):
                v, w = T.axis.remap("SS", [i, j])
                T.reads(x[v, 0:n], table[w])
                T.writes(y[v, w])
                y[v, w] = x[v, table[w]]

    tvm.ir.assert_structural_equal(in_tables(before).body, expected.body, map_free_vars=True)


def rounded(place):
    return (place.astype("float32") * tir.const(0.5, "float32")).astype("int64")


NO_TABLE = {
    "an index": lambda x, i, j: x[i, j],
    "integers": lambda x, i, j: x[i, j // 2],
    "a float of an index": lambda x, i, j: x[i, j] + j.astype("float32"),
    "two indices": lambda x, i, j: x[i, rounded(i + j) // 2],
    "data": lambda x, i, j: x[i, j].astype("int64").astype("float32"),
    "no index": lambda x, i, j: x[i, j] + rounded(x.shape[0]).astype("float32"),
}


@pytest.mark.parametrize("name", NO_TABLE)
def test_other_elements_stay(name):
    m, n = variables("mn")
    x = sized(m, n)
    y = te.compute((m, n), lambda i, j: NO_TABLE[name](x, i, j), "y")
    function = te.create_prim_func([x, y])
    tvm.ir.assert_structural_equal(in_tables(function), function)


@pytest.mark.parametrize("method", ["nearest_neighbor", "linear"])
@pytest.mark.parametrize("kind", ["x86-64-v2", "native"])
def test_resized(kind, method):
    b, h, w = variables("bhw")
    x = sized(b, 3, h, w)
    coordinates = "half_pixel"
    y = topi.image.resize2d(
        x, [0.0] * 4, [h * 2, w * 2], "NCHW", method, coordinates, "round_prefer_floor"
    )
    kernel = Symbolic([b, h, w], [x], y, kind)
    assert kernel.rule == "elementwise"
    assert "table0" in kernel.scheduled.script()
    kernel.check([*mixed(3, SIZES), (3, 60, 90)])
