"""What is claimed of a tile holds wherever the tile starts."""

import pytest
import tvm
from tvm.script import tirx as T

from quake_tvm.schedules.overlap import OVERLAP, overlap_tiles
from quake_tvm.schedules.overlap_proof import Tile
from quake_tvm.tvm_version import tir


def below(value, end):
    """Whether a value is less than an end wherever a tile of 16 of 20 columns starts."""
    start, known = tir.Var("start", "int64"), tvm.sym.Analyzer()
    tile = Tile(start, 16, tir.const(20, "int64"), ())
    known.bind(start, tvm.ir.Range(0, 5))
    return tile.below(value(start), tir.const(end, "int64"), known)


def test_value_that_grows_with_the_start_is_largest_in_the_last_tile():
    assert below(lambda start: start + 15, 20)
    assert not below(lambda start: start + 15, 19)


def test_value_that_also_shrinks_with_the_start_may_be_largest_in_the_first_tile():
    assert not below(lambda start: start + start * -2 + 12, 10)
    assert below(lambda start: start + start * -2 + 12, 13)


@T.prim_func(s_tir=True)
def more_read_than_written(x: T.Buffer((21,), "float32"), y: T.Buffer((20,), "float32")):
    """A tile reads its neighbour's first element, which only the next tile writes."""
    t = T.sblock_alloc_buffer((21,), "float32")
    for i0 in range(2):
        for i1 in range(16):
            with T.sblock("t"):
                v = T.axis.spatial(21, i0 * 16 + i1)
                T.where(i0 * 16 + i1 < 21)
                T.reads(x[v])
                T.writes(t[v])
                t[v] = x[v] * T.float32(2)
        for i1 in range(16):
            with T.sblock("y"):
                v = T.axis.spatial(20, i0 * 16 + i1)
                T.where(i0 * 16 + i1 < 20)
                T.reads(t[v : v + 2])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = t[v] + t[v + 1]


@T.prim_func(s_tir=True)
def sum_from_outside(x: T.Buffer((3, 20), "float32"), y: T.Buffer((20,), "float32")):
    """The reduction adds to an initial value from outside, so repeating a step changes the sum."""
    for i0, i1 in T.grid(2, 16):
        with T.sblock("zero"):
            v = T.axis.spatial(20, i0 * 16 + i1)
            T.where(i0 * 16 + i1 < 20)
            T.reads()
            T.writes(y[v])
            y[v] = T.float32(0)
    for k, i0, i1 in T.grid(3, 2, 16):
        with T.sblock("y"):
            v, s = T.axis.spatial(20, i0 * 16 + i1), T.axis.reduce(3, k)
            T.where(i0 * 16 + i1 < 20)
            T.reads(y[v], x[s, v])
            T.writes(y[v])
            T.sblock_attr({"quake.overlap": [0]})
            y[v] = y[v] + x[s, v]


@T.prim_func(s_tir=True)
def tiles_inside_a_sum(x: T.Buffer((3, 20), "float32"), y: T.Buffer((20,), "float32")):
    for k, i0, i1 in T.grid(3, 2, 16):
        with T.sblock("y"):
            v, s = T.axis.spatial(20, i0 * 16 + i1), T.axis.reduce(3, k)
            T.where(i0 * 16 + i1 < 20)
            T.reads(x[s, v])
            T.writes(y[v])
            T.sblock_attr({"quake.overlap": [0]})
            with T.init():
                y[v] = T.float32(0)
            y[v] = y[v] + x[s, v]


@T.prim_func(s_tir=True)
def memory_may_be_shared(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
    """TVM may place u in the memory of t."""
    t = T.sblock_alloc_buffer((20,), "float32")
    u = T.sblock_alloc_buffer((20,), "float32")
    for i in range(20):
        with T.sblock("t"):
            v = T.axis.spatial(20, i)
            T.reads(x[v])
            T.writes(t[v])
            t[v] = x[v] * T.float32(2)
    for i0, i1 in T.grid(2, 16):
        with T.sblock("u"):
            v = T.axis.spatial(20, i0 * 16 + i1)
            T.where(i0 * 16 + i1 < 20)
            T.reads(t[v])
            T.writes(u[v])
            T.sblock_attr({"quake.overlap": [0]})
            u[v] = t[v] * t[v]
    for i in range(20):
        with T.sblock("y"):
            v = T.axis.spatial(20, i)
            T.reads(u[v])
            T.writes(y[v])
            y[v] = u[v] + T.float32(1)


@T.prim_func(s_tir=True)
def another_result_would_miss_some(
    x: T.Buffer((37,), "float32"), t: T.Buffer((37,), "float32"), y: T.Buffer((30,), "float32")
):
    for i0 in range(5):
        for i1 in range(8):
            with T.sblock("t"):
                v = T.axis.spatial(37, i0 * 8 + i1)
                T.where(i0 * 8 + i1 < 37)
                T.reads(x[v])
                T.writes(t[v])
                t[v] = x[v] * T.float32(2)
        for i1 in range(8):
            with T.sblock("y"):
                v = T.axis.spatial(30, i0 * 8 + i1)
                T.where(i0 * 8 + i1 < 30)
                T.reads(t[v])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = t[v] + T.float32(1)


@T.prim_func(s_tir=True)
def guard_of_the_number_alone(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
    for i0, i1 in T.grid(2, 16):
        with T.sblock("y"):
            v = T.axis.spatial(20, i0 * 16 + i1)
            T.where(i0 * 16 + i1 < 20 and i0 < 1)
            T.reads(x[v])
            T.writes(y[v])
            T.sblock_attr({"quake.overlap": [0]})
            y[v] = x[v] + T.float32(1)


@pytest.mark.parametrize(
    "function",
    [
        more_read_than_written,
        sum_from_outside,
        tiles_inside_a_sum,
        memory_may_be_shared,
        another_result_would_miss_some,
        guard_of_the_number_alone,
    ],
    ids=lambda function: function.__name__ if hasattr(function, "__name__") else None,
)
def test_what_cannot_be_shown_keeps_its_guards(function):
    after = overlap_tiles(function).script()
    assert "T.min" not in after
    assert after.count("T.where") == function.script().count("T.where")
    assert OVERLAP not in after
