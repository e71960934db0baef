"""Rows are cut where a condition on the last index changes, and only there."""

import pytest
import tvm
from tvm import te, topi
from tvm.script import tirx as T

from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.segments import in_segments, segments
from quake_tvm.schedules.versions import VERSIONS
from quake_tvm.tvm_version import tir
from tests.schedules.symbolic import Symbolic, mixed, sized, variables

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 70)


def test_each_segment_has_a_loop():
    @T.prim_func(s_tir=True)
    def before(x_: T.handle, y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n))
        y = T.match_buffer(y_, (m, n + T.int64(1)))
        for i, j in T.grid(m, n + T.int64(1)):
            with T.sblock("y"):
                v, w = T.axis.remap("SS", [i, j])
                T.reads(x[v, w - T.int64(1)])
                T.writes(y[v, w])
                y[v, w] = T.if_then_else(T.int64(1) <= w, x[v, w - T.int64(1)], T.float32(0))

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n))
        y = T.match_buffer(y_, (m, n + T.int64(1)))
        for i in range(m):
            for lane in T.unroll(T.int64(1)):
                with T.sblock("y"):
                    v = T.axis.spatial(m, i)
                    w = T.axis.spatial(n + T.int64(1), lane)
                    T.where(lane < T.int64(1))
                    T.reads(x[v, w - T.int64(1)])
                    T.writes(y[v, w])
                    y[v, w] = T.float32(0)
            if n >= T.int64(4):
                for vector in range((n + T.int64(3)) // T.int64(4)):
                    for lane in T.vectorized(T.int64(4)):
                        with T.sblock("y"):
                            v = T.axis.spatial(m, i)
                            w = T.axis.spatial(
                                n + T.int64(1),
                                T.int64(1) + T.min(vector * T.int64(4), n - T.int64(4)) + lane,
                            )
                            T.reads(x[v, w - T.int64(1)])
                            T.writes(y[v, w])
                            y[v, w] = x[v, w - T.int64(1)]
            else:
                for lane in T.unroll(T.int64(3)):
                    with T.sblock("y"):
                        v = T.axis.spatial(m, i)
                        w = T.axis.spatial(n + T.int64(1), T.int64(1) + lane)
                        T.where(lane < n)
                        T.reads(x[v, w - T.int64(1)])
                        T.writes(y[v, w])
                        y[v, w] = x[v, w - T.int64(1)]

    found = segments(before)
    after = in_segments(before, found, [4])
    tvm.ir.assert_structural_equal(after.body, expected.body, map_free_vars=True)


def made(element):
    m, n = variables("mn")
    x = sized(m, n)
    return te.create_prim_func([x, te.compute((m, n), lambda i, j: element(x, n, i, j), "y")])


def chosen(condition, x, i, j):
    return tir.if_then_else(condition, x[i, j], tir.const(0, "float32"))


WHOLE = {
    "no branch": lambda x, n, i, j: x[i, j],
    "a branch on the row": lambda x, n, i, j: chosen(i < 3, x, i, j),
    "a select": lambda x, n, i, j: tir.Select(j < 3, x[i, j], tir.const(0, "float32")),
    "every other element": lambda x, n, i, j: chosen(j % 2 < 1, x, i, j),
    "a diagonal": lambda x, n, i, j: chosen(j <= i, x, i, j),
    "twice the index": lambda x, n, i, j: chosen(j * 2 < n, x, i, j),
    "one element": lambda x, n, i, j: chosen(tir.EQ(j, tir.const(3, "int64")), x, i, j),
    "data": lambda x, n, i, j: chosen(j < x[i, 0].astype("int64"), x, i, j),
    "an unknown order": lambda x, n, i, j: chosen(tir.all(j >= 3, j < n - 9), x, i, j),
}


@pytest.mark.parametrize("name", WHOLE)
def test_other_rows_stay_whole(name):
    assert segments(made(WHOLE[name])) is None


def pad(x, before, after, value=0.0):
    return topi.nn.pad(x, [1, before], [0, after], value)


def named(x):
    """The square of each element plus 1, which has a name."""

    def element(*i):
        name = tir.Var("t", "float32")
        return tir.Let(name, x(*i) + tir.const(1.0, "float32"), name * name)

    return te.compute(x.shape, element, "named")


CUT = {
    "pad": lambda x, y: pad(x, 1, 1),
    "wide pad": lambda x, y: pad(x, 20, 5, -1.0),
    "pad in front": lambda x, y: pad(x, 3, 0),
    "pad, then a name for a value": lambda x, y: named(pad(x, 1, 1)),
    "pad behind, then a sum": lambda x, y: topi.add(pad(x, 0, 2), tir.const(1.0, "float32")),
    "two": lambda x, y: topi.concatenate([x, y], 1),
    "three": lambda x, y: topi.concatenate([x, y, topi.multiply(x, x)], 1),
}


@pytest.mark.parametrize("name", [name for name in CUT if "pad" in name])
@pytest.mark.parametrize("kind", ["x86-64-v2", "native"])
def test_padded(kind, name):
    m, n = variables("mn")
    x = sized(m, n)
    kernel = Symbolic([m, n], [x], CUT[name](x, None), kind)
    assert VERSIONS in kernel.scheduled.attrs
    kernel.check([*mixed(2, SIZES), (127, 129), (129, 127), (3, 9000)])


@pytest.mark.parametrize("name", ["two", "three"])
@pytest.mark.parametrize("kind", ["x86-64-v2", "native"])
def test_joined(kind, name):
    m, n, k = variables("mnk")
    x, y = sized(m, n), sized(m, k, name="k")
    kernel = Symbolic([m, n, k], [x, y], CUT[name](x, y), kind)
    kernel.check([*mixed(3, SIZES), (127, 60, 69), (129, 1, 126), (3, 9000, 500)])


def test_a_negative_pad_cuts_nothing_off_the_tensor():
    """The cuts lie outside of the row then."""
    m, n, k = variables("mnk")
    x = sized(m, n)

    def element(i, j):
        inside = tir.all(j >= 2, j < n + 2)
        return tir.if_then_else(inside, x[i, j - 2], tir.const(7.0, "float32"))

    kernel = Symbolic([m, n, k], [x, sized(k, name="k")], te.compute((m, k), element, "y"))
    kernel.check(mixed(3, SIZES))


@pytest.mark.parametrize("columns", [1, 2, 9, 33])
@pytest.mark.parametrize("name", CUT)
def test_constant_sizes(name, columns):
    x, y = sized(5, columns), sized(5, 7, name="y")
    kernel = Symbolic([], [x] if "pad" in name else [x, y], CUT[name](x, y))
    assert kernel.scheduled.script().count("with T.sblock(") > 1  # a block a segment
    kernel.check([()])


def test_vectors_have_no_branch():
    """TVM computes the lanes of a vector one by one if its branches depend on them."""
    m, n = variables("mn")
    done = schedule(te.create_prim_func([x := sized(m, n), pad(x, 1, 1)]), target("x86-64-v3"))
    lines = tvm.compile(done, target=target("x86-64-v3")).mod.inspect_source().splitlines()
    assert any("load <8 x float>" in line for line in lines)
