"""An annotated block's last tile starts earlier and loses its guard. Nothing else changes."""

import numpy as np
import pytest
import tvm
from tvm import s_tir, te
from tvm.script import tirx as T

from quake_tvm.schedules.overlap import OVERLAP, overlap_tiles
from tests.schedules.kernels import build_and_run


def check(before, expected):
    tvm.ir.assert_structural_equal(overlap_tiles(before).body, expected.body, map_free_vars=True)


def test_guarded_tile_becomes_a_whole_one():
    @T.prim_func(s_tir=True)
    def before(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, i0 * 16 + i1)
                T.where(i0 * 16 + i1 < 20)
                T.reads(x[v])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = x[v] + T.float32(1)

    @T.prim_func(s_tir=True)
    def expected(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, T.min(i0 * 16, 4) + i1)
                T.reads(x[v])
                T.writes(y[v])
                y[v] = x[v] + T.float32(1)

    check(before, expected)


def test_both_axes_and_a_tile_of_vectors():
    @T.prim_func(s_tir=True)
    def before(x: T.Buffer((5, 20), "float32"), y: T.Buffer((5, 20), "float32")):
        for i0, j0, i1, j1, j2 in T.grid(2, 3, 3, 2, 4):
            with T.sblock("y"):
                i = T.axis.spatial(5, i0 * 3 + i1)
                j = T.axis.spatial(20, j0 * 8 + j1 * 4 + j2)
                T.where(i0 * 3 + i1 < 5 and j0 * 8 + j1 * 4 + j2 < 20)
                T.reads(x[i, j])
                T.writes(y[i, j])
                T.sblock_attr({"quake.overlap": [0, 1]})
                y[i, j] = x[i, j] + T.float32(1)

    @T.prim_func(s_tir=True)
    def expected(x: T.Buffer((5, 20), "float32"), y: T.Buffer((5, 20), "float32")):
        for i0, j0, i1, j1, j2 in T.grid(2, 3, 3, 2, 4):
            with T.sblock("y"):
                i = T.axis.spatial(5, T.min(i0 * 3, 2) + i1)
                j = T.axis.spatial(20, T.min(j0 * 8, 12) + j1 * 4 + j2)
                T.reads(x[i, j])
                T.writes(y[i, j])
                y[i, j] = x[i, j] + T.float32(1)

    check(before, expected)


def test_packed_operand_is_found_by_the_number_of_its_tile():
    @T.prim_func(s_tir=True)
    def before(w: T.Buffer((2, 16), "float32"), y: T.Buffer((20,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, i0 * 16 + i1)
                T.where(i0 * 16 + i1 < 20)
                T.reads(w[v // 16, v - T.min(v // 16 * 16, 4)])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = w[v // 16, v - T.min(v // 16 * 16, 4)]

    @T.prim_func(s_tir=True)
    def expected(w: T.Buffer((2, 16), "float32"), y: T.Buffer((20,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, T.min(i0 * 16, 4) + i1)
                tile0 = T.axis.spatial(2, i0)
                T.reads(w[tile0, v - T.min(tile0 * 16, 4)])
                T.writes(y[v])
                y[v] = w[tile0, v - T.min(tile0 * 16, 4)]

    check(before, expected)


def test_other_guards_of_an_annotated_block_stay():
    n = te.var("n", dtype="int32")
    x = te.placeholder((n, 20), "float32", "x")
    y = te.compute(x.shape, lambda i, j: x[i, j] + 1, "y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]))
    block = sch.get_sblock("y")
    i, j = sch.get_loops(block)
    sch.split(i, [None, 8])
    sch.split(j, [None, 16])
    sch.annotate(block, OVERLAP, [0, 1])
    script = overlap_tiles(sch.mod["main"]).script()
    assert "T.where(i_0 * 8 + i_1 < n)" in script
    assert "T.min(j_0 * 16, 4) + j_1" in script
    assert OVERLAP not in script


def split(length, width, annotated):
    """A schedule of x + 1, split into tiles."""
    x = te.placeholder((length,), "float32", "x")
    y = te.compute(x.shape, lambda i: x[i] + 1, "y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]))
    (i,) = sch.get_loops("y")
    sch.split(i, [None, width])
    if annotated:
        sch.annotate(sch.get_sblock("y"), OVERLAP, [0])
    return sch.mod["main"]


@pytest.mark.parametrize("length", [te.var("n", dtype="int32"), 20], ids=str)
def test_blocks_without_the_annotation_stay(length):
    function = split(length, 16, False)
    tvm.ir.assert_structural_equal(overlap_tiles(function), function)


@pytest.mark.parametrize("length", [te.var("n", dtype="int32"), 32], ids=str)
def test_nothing_but_the_annotation_goes_where_no_constant_guard_is(length):
    tvm.ir.assert_structural_equal(
        overlap_tiles(split(length, 16, True)), split(length, 16, False), map_free_vars=True
    )


@pytest.mark.parametrize("length", [16, 17, 31, 33, 197])
def test_every_element_is_computed(length):
    x = np.random.default_rng(0).normal(size=length).astype(np.float32)
    y = build_and_run(overlap_tiles(split(length, 16, True)), [x], x.shape)
    np.testing.assert_array_equal(y, x + np.float32(1))


def test_guard_of_a_value_without_a_tile_stays():
    @T.prim_func(s_tir=True)
    def before(x: T.Buffer((2,), "float32"), y: T.Buffer((2,), "float32")):
        for i0, i1 in T.grid(2, 2):
            with T.sblock("y"):
                v = T.axis.spatial(2, i0 + i1)
                T.where(i0 + i1 < 2)
                T.reads(x[v])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = x[v] + T.float32(1)

    @T.prim_func(s_tir=True)
    def expected(x: T.Buffer((2,), "float32"), y: T.Buffer((2,), "float32")):
        for i0, i1 in T.grid(2, 2):
            with T.sblock("y"):
                v = T.axis.spatial(2, i0 + i1)
                T.where(i0 + i1 < 2)
                T.reads(x[v])
                T.writes(y[v])
                y[v] = x[v] + T.float32(1)

    check(before, expected)


def test_what_is_computed_in_a_tile_starts_where_its_writer_does():
    """The product is longer than the part of it that is stored."""

    @T.prim_func(s_tir=True)
    def before(x: T.Buffer((37,), "float32"), y: T.Buffer((30,), "float32")):
        t = T.sblock_alloc_buffer((37,), "float32", scope="local")
        for i0 in range(4):
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
    def expected(x: T.Buffer((37,), "float32"), y: T.Buffer((30,), "float32")):
        t = T.sblock_alloc_buffer((37,), "float32", scope="local")
        for i0 in range(4):
            for i1 in range(8):
                with T.sblock("t"):
                    v = T.axis.spatial(37, T.min(i0 * 8, 22) + i1)
                    T.reads(x[v])
                    T.writes(t[v])
                    t[v] = x[v] * T.float32(2)
            for i1 in range(8):
                with T.sblock("y"):
                    v = T.axis.spatial(30, T.min(i0 * 8, 22) + i1)
                    T.reads(t[v])
                    T.writes(y[v])
                    y[v] = t[v] + T.float32(1)

    check(before, expected)


def test_guard_is_found_however_it_is_written():
    @T.prim_func(s_tir=True)
    def before(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, i0 * 16 + i1)
                T.where(i0 % 2 * 16 + i1 < 20)
                T.reads(x[v])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = x[v] + T.float32(1)

    @T.prim_func(s_tir=True)
    def expected(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, T.min(i0 * 16, 4) + i1)
                T.reads(x[v])
                T.writes(y[v])
                y[v] = x[v] + T.float32(1)

    check(before, expected)


def test_the_smallest_of_several_limits_is_the_tiles():
    @T.prim_func(s_tir=True)
    def before(x: T.Buffer((20,), "float32"), y: T.Buffer((18,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(18, i0 * 16 + i1)
                T.where(i0 * 16 + i1 < 20 and i0 * 16 + i1 < 18)
                T.reads(x[v])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = x[v] + T.float32(1)

    @T.prim_func(s_tir=True)
    def expected(x: T.Buffer((20,), "float32"), y: T.Buffer((18,), "float32")):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(18, T.min(i0 * 16, 2) + i1)
                T.reads(x[v])
                T.writes(y[v])
                y[v] = x[v] + T.float32(1)

    check(before, expected)


def test_only_packed_panels_are_found_by_the_number_of_their_tile():
    """A bias for each 16 columns belongs to the column, not to the tile."""

    @T.prim_func(s_tir=True)
    def before(
        x: T.Buffer((20,), "float32"), b: T.Buffer((2,), "float32"), y: T.Buffer((20,), "float32")
    ):
        for i0, i1 in T.grid(2, 16):
            with T.sblock("y"):
                v = T.axis.spatial(20, i0 * 16 + i1)
                T.where(i0 * 16 + i1 < 20)
                T.reads(x[v], b[v // 16])
                T.writes(y[v])
                T.sblock_attr({"quake.overlap": [0]})
                y[v] = x[v] + b[v // 16]

    after = overlap_tiles(before).script()
    assert "T.min(i0 * 16, 4)" in after
    assert "b[v // 16]" in after
    x, b = np.arange(20, dtype=np.float32), np.float32([100, 200])
    y = build_and_run(overlap_tiles(before), [x, b], x.shape)
    np.testing.assert_array_equal(y, x + np.repeat(b, 16)[:20])


def test_a_block_wider_than_its_tile_finds_its_panels_by_the_column():
    """The column after a tile is in the next panel, not in the tile's."""

    @T.prim_func(s_tir=True)
    def before(w: T.Buffer((2, 16), "float32"), y: T.Buffer((20,), "float32")):
        t = T.sblock_alloc_buffer((20,), "float32", scope="local")
        for i0 in range(2):
            for i1 in range(17):
                with T.sblock("t"):
                    v = T.axis.spatial(20, i0 * 16 + i1)
                    T.where(i0 * 16 + i1 < 20)
                    T.reads(w[v // 16, v - T.min(v // 16 * 16, 4)])
                    T.writes(t[v])
                    t[v] = w[v // 16, v - T.min(v // 16 * 16, 4)]
            for i1 in range(16):
                with T.sblock("y"):
                    v = T.axis.spatial(20, i0 * 16 + i1)
                    T.where(i0 * 16 + i1 < 20)
                    T.reads(t[v])
                    T.writes(y[v])
                    T.sblock_attr({"quake.overlap": [0]})
                    y[v] = t[v] + T.float32(1)

    after = overlap_tiles(before)
    assert "T.min(i0 * 16, 4) + i1" in after.script()
    assert "t[v] = w[v // 16, v - T.min(v // 16 * 16, 4)]" in after.script()
    x = np.arange(20, dtype=np.float32)
    y = build_and_run(after, [np.stack([x[:16], x[4:]])], x.shape)
    np.testing.assert_array_equal(y, x + np.float32(1))
