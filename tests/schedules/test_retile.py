"""A schedule with tiles of another size is the schedule that TVM would have made."""

import pytest
import tvm_ffi
from tvm import s_tir, te
from tvm.script import tirx as T

from quake_tvm.schedules.retile import Tiled
from quake_tvm.tvm_version import tir
from tests.schedules.symbolic import sized, variables


def split(size):
    """Doubled elements in tiles, the first of two stages computed a tile at a time."""
    (n,) = variables("n")
    x = sized(n, 3, name="x")
    y = te.compute(x.shape, lambda *i: x(*i) + x(*i), name="y")
    z = te.compute(x.shape, lambda *i: y(*i) * y(*i), name="z")
    sch = s_tir.Schedule(te.create_prim_func([x, z]))
    loop = sch.get_loops("z")[0]
    extent = sch.get(loop).extent
    outer, inner = sch.split(loop, [None, size])
    number = sch.get(outer).loop_var
    sch.compute_at("y", outer, preserve_unit_loops=True)
    sch.unroll(inner)
    return Tiled(sch.mod["main"], number, size, extent)


@pytest.mark.parametrize("size", [5, 2, 1])
def test_as_scheduled_anew(size):
    made = split(8).of_size(size)
    assert tvm_ffi.structural_equal(made, split(size).function, map_free_vars=True)


def test_refused_if_no_index_is_computed_from_the_tile():
    tiled = split(8)
    other = tir.Var("other", "int64")
    assert Tiled(tiled.function, other, tiled.size, tiled.extent).of_size(4) is None


def test_refused_if_the_number_of_a_tile_is_used_otherwise():
    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        y = T.match_buffer(y_, (n,))
        for i, j in T.grid((n + T.int64(7)) // T.int64(8), T.int64(8)):
            with T.sblock("y"):
                v = T.axis.spatial(n, i * T.int64(8) + j)
                tile = T.axis.spatial((n + T.int64(7)) // T.int64(8), i)
                T.where(i * T.int64(8) + j < n)
                y[v] = x[v] + x[tile]

    sch = s_tir.Schedule(function)
    loop = sch.get(sch.get_loops("y")[0])
    extent = sch.get(sch.get_sblock("y")).iter_vars[0].dom.extent
    assert Tiled(function, loop.loop_var, 8, extent).of_size(4) is None
