"""Every size runs one version of a kernel, which computes the bits of the plain loops."""

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import s_tir, sym, te, topi
from tvm.script import tirx as T

from quake_tvm.kernels.row_kernel import PARALLEL_ELEMENTS
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_convolutions import depthwise_convolution
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import analysis, product_tiles, schedule
from quake_tvm.schedules.overlap import OVERLAP
from quake_tvm.schedules.tiles import substituted
from quake_tvm.schedules.versions import (
    VERSIONS,
    Version,
    balanced,
    joined,
    of_every_size,
    thread_cases,
    vector_widths,
    with_few,
)
from quake_tvm.tvm_version import tir
from tests.schedules.kernels import RNG, window
from tests.schedules.sweep import Guarded
from tests.schedules.symbolic import SIZES, Symbolic, mixed, sized, variables

TARGETS = ["x86-64-v2", "x86-64-v3", "native"]


def doubled(kind, step):
    """x + x in steps."""

    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        y = T.match_buffer(y_, (n,))
        for i in range(n):
            with T.sblock("y"):
                v = T.axis.spatial(n, i)
                T.reads(x[v])
                T.writes(y[v])
                y[v] = x[v] + x[v]

    sch = s_tir.Schedule(function)
    outer, _ = sch.split(sch.get_loops("y")[0], [None, step])
    if kind == "parallel":
        sch.parallel(outer)
    return sch.mod["main"]


def test_versions_become_branches():
    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, y_: T.handle):
        T.func_attr({"quake.versions": 2})
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        y = T.match_buffer(y_, (n,))
        if n >= 8:
            for i, j in T.grid((n + T.int64(7)) // T.int64(8), T.int64(8)):
                with T.sblock("y"):
                    v = T.axis.spatial(n, i * T.int64(8) + j)
                    T.where(i * T.int64(8) + j < n)
                    T.reads(x[v])
                    T.writes(y[v])
                    y[v] = x[v] + x[v]
        else:
            if n >= 1:
                for i in T.parallel((n + T.int64(1)) // T.int64(2)):
                    for j in range(T.int64(2)):
                        with T.sblock("y"):
                            v = T.axis.spatial(n, i * T.int64(2) + j)
                            T.where(i * T.int64(2) + j < n)
                            T.reads(x[v])
                            T.writes(y[v])
                            y[v] = x[v] + x[v]

    first = doubled("serial", 8)
    (n,) = first.params[0].shape
    done = joined([(n >= 8, first), (n >= 1, doubled("parallel", 2))])
    assert done.attrs[VERSIONS] == 2
    tvm.ir.assert_structural_equal(done.body, expected.body, map_free_vars=True)


def test_versions_share_no_variables():
    function = doubled("serial", 8)
    (n,) = function.params[0].shape
    done = joined([(n >= 8, function), (n >= 1, function)])
    loops = []
    tvm_ffi.structural_walk(done.body, (tir.For, lambda loop: loops.append(loop.loop_var)))
    assert len(loops) == 4 == len({loop.__hash__() for loop in loops})


@pytest.mark.parametrize("most", [1, 3, 4, 8, 16])
def test_balanced_is_what_it_is_for_constants(most):
    n = te.var("n", dtype="int64")
    size = balanced(n, most)
    for count in range(1, 70):
        own = sym.Analyzer().simplify(substituted(size, [(n, tir.const(count, "int64"))]))
        assert int(own) == analysis.balanced(count, most)


def test_widths_end_with_one():
    wanted = {1: [1], 2: [1], 4: [4, 1], 8: [8, 4, 1], 16: [16, 8, 4, 1]}
    assert {lanes: vector_widths(lanes) for lanes in wanted} == wanted


def test_loop_that_runs_on_all_cores():
    m, n = variables("mn")
    count = m * n

    def loops(*arguments):
        return [(len(when), loop) for when, loop in thread_cases(*arguments)]

    assert loops([m], count) == [(1, None), (0, 0)]
    assert loops([m, n], count) == [(1, None), (1, 0), (0, 1)]
    assert loops([8, n], count) == [(1, None), (0, 0)]
    assert loops([7, n], count) == [(1, None), (0, 1)]
    assert loops([m, n], count, True) == [(1, 0), (0, 1)]
    assert loops([m * 4, n], count) == [(1, None), (1, 0), (0, 1)]
    assert loops([m * 4 * n * 2, n], count) == [(1, None), (0, 0)]  # 8 at least, if any


def test_few_elements_have_a_version_without_threads():
    parallel = doubled("parallel", 2)
    done = with_few(parallel)
    branch = done.body.block.body
    assert done.attrs[VERSIONS] == 2
    assert branch.then_case.kind == tir.ForKind.SERIAL
    assert branch.else_case.then_case.kind == tir.ForKind.PARALLEL
    assert str(PARALLEL_ELEMENTS) in str(branch.condition)


def test_functions_without_threads_or_of_constant_extents_have_one_version():
    x = te.placeholder((9,), "float32", "x")
    sch = s_tir.Schedule(te.create_prim_func([x, te.compute(x.shape, lambda i: x[i] + 1, "y")]))
    sch.parallel(sch.get_loops("y")[0])
    for function in (sch.mod["main"], doubled("serial", 8)):
        assert with_few(function).same_as(function)


def test_last_version_runs_at_every_size_if_a_stage_follows_the_tiles():
    m, n = variables("mn")
    tiled = _annotated(sized(m, 8), behind=False)
    followed = _annotated(sized(n, 8), behind=True)
    alone = of_every_size(
        [Version(tiled.mod["main"], m >= 8, m >= 8), Version(tiled.mod["main"], m >= 1, m >= 1)]
    )
    assert [analysis.constant(each.when) for each in alone] == [None, None]
    whole = of_every_size(
        [
            Version(followed.mod["main"], n >= 8, n >= 8),
            Version(followed.mod["main"], n >= 1, n >= 1),
        ]
    )
    assert [analysis.constant(each.when) for each in whole] == [None, 1]


def _annotated(x, behind):
    """A schedule of x + 1, tiled, and of a pad behind it."""
    y = te.compute(x.shape, lambda *i: x(*i) + 1, "y")
    sch = s_tir.Schedule(te.create_prim_func([x, topi.nn.pad(y, [1, 0]) if behind else y]))
    sch.annotate(sch.get_sblock("y"), OVERLAP, [0])
    return sch


def test_strides_of_parameters_are_those_of_every_version():
    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n, step = T.int64(), T.int64()
        x = T.match_buffer(x_, (n, 8), strides=(step, 1))
        y = T.match_buffer(y_, (n, 8))
        for i, j in T.grid(n, T.int64(8)):
            with T.sblock("y"):
                v, w = T.axis.remap("SS", [i, j])
                y[v, w] = x[v, w] + T.float32(1)

    scheduled = schedule(function, target())
    assert scheduled.attrs[VERSIONS] > 1
    kernel = tvm.compile(scheduled, target=target())["main"]
    for rows in (1, 5, 40):
        wide, y = Guarded((rows, 11), np.float32, 0), tvm.runtime.empty((rows, 8), "float32")
        wide.array[...] = random(rows, 11)
        narrow = wide.array[:, :8]
        kernel(tvm_ffi.from_dlpack(narrow), y)
        np.testing.assert_array_equal(y.numpy(), narrow + np.float32(1))


def random(*shape):
    return RNG(0).normal(size=shape).astype(np.float32)


def product(a, b):
    """a (.., m, k) by b (.., k, n)."""
    k = te.reduce_axis((0, a.shape[-1]), "k")

    def element(*i):
        *batch, row, column = i
        return te.sum(a(*batch, row, k) * b(*batch, k, column), k)

    return te.compute((*a.shape[:-1], b.shape[-1]), element, name="product")


def biased(y):
    bias = sized(y.shape[-1], name="bias")
    return [bias], topi.nn.relu(topi.add(y, bias))


def matmul(m, k, n, *batch):
    a, b = sized(*batch, m, k, name="a"), sized(*batch, k, n, name="b")
    more, y = biased(product(a, b))
    return [a, b, *more], y


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("unknown", ["m", "n", "mn", "bm", "bmn"])
def test_products(unknown, name):
    extents = dict(zip(unknown, variables(unknown), strict=True))
    m, n = extents.get("m", 17), extents.get("n", 33)
    batch = [extents["b"]] if "b" in extents else []
    kernel = Symbolic(list(extents.values()), *matmul(m, 5, n, *batch), name)
    assert kernel.rule == "matmul"
    sizes = (0, *SIZES) if len(unknown) < 3 else (0, *SIZES[:12])
    kernel.check(mixed(len(unknown), sizes))


@pytest.mark.parametrize("columns", [1, 20, 100])
def test_products_with_packed_weights(columns):
    b, m = variables("bm")
    packed = panels(random(7, columns), product_tiles.panel(None, columns, target("x86-64-v3")))
    a, w = sized(b, m, 7, name="a"), sized(*packed.shape, name="w")
    more, y = biased(packed_matmul(a, w, columns))
    kernel = Symbolic([b, m], [a, w, *more], y, given={"w": packed})
    assert kernel.rule == "matmul"
    kernel.check(mixed(2, (0, *SIZES)))


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize("strides", [1, 2])
def test_depthwise_convolutions(strides, padding):
    h, w = variables("hw")
    x, weights = sized(1, h, w, 17), sized(3, 3, 17, name="w")
    view = window(3, strides, padding=padding)
    pixels = [(n + sum(padding) - 3) // strides + 1 for n in (h, w)]
    more, y = biased(depthwise_convolution(x, weights, pixels, view))
    kernel = Symbolic([h, w], [x, weights, *more], y)
    assert kernel.rule == "depthwise"
    kernel.check(pair for pair in mixed(2, SIZES[:18]) if min(pair) >= 3 - sum(padding))


def below(y):
    """A row above the result, and one below it."""
    return topi.nn.pad(y, [0] * (len(y.shape) - 2) + [1, 0])


def test_rows_around_a_product_without_rows():
    (m,) = variables("m")
    a, b = sized(m, 5, name="a"), sized(5, 33, name="b")
    kernel = Symbolic([m], [a, b], below(product(a, b)))
    assert kernel.rule == "matmul"
    kernel.check([(0,), (1,), (8,), (40,)])
    assert not kernel.run("ours", (0,))[0].any()


def test_pixels_around_a_depthwise_convolution_without_pixels():
    (n,) = variables("n")
    x, weights = sized(2, n, 5), sized(2, 5, name="w")
    y = depthwise_convolution(x, weights, [n], window(2, padding=(1, 0), rank=1))
    kernel = Symbolic([n], [x, weights], below(y))
    assert kernel.rule == "depthwise"
    kernel.check([(0,), (1,), (8,), (40,)])
    assert not kernel.run("ours", (0,))[0].any()
