"""Computed extents of parameters get names; everything else stays."""

import numpy as np
import pytest
import tvm
from tvm import te, topi
from tvm.script import tirx as T

from quake_tvm.kernels.byte_depthwise import Grouped, of_groups
from quake_tvm.machines.targets import target
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.schedules import schedule
from quake_tvm.schedules.named_extents import named_extents
from tests.schedules.symbolic import SIZES, Symbolic, sized, variables


def test_size_and_a_constant_keep_their_form():
    (n,) = variables("n")
    x = sized(n)
    function = te.create_prim_func([x, topi.nn.pad(x, [1], [1])])
    assert named_extents(function).same_as(function)


def test_computed_extents_become_variables():
    @T.prim_func(s_tir=True)
    def before(x_: T.handle, z_: T.handle, y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        z = T.match_buffer(z_, ((n - T.int64(1)) // T.int64(2),))
        y = T.match_buffer(y_, ((n - T.int64(1)) // T.int64(2),))
        t = T.sblock_alloc_buffer(((n - T.int64(1)) // T.int64(2),))
        for i in range((n - T.int64(1)) // T.int64(2)):
            with T.sblock("t"):
                v = T.axis.spatial((n - T.int64(1)) // T.int64(2), i)
                t[v] = x[v * T.int64(2)]
        for i in range((n - T.int64(1)) // T.int64(2)):
            with T.sblock("y"):
                v = T.axis.spatial((n - T.int64(1)) // T.int64(2), i)
                y[v] = t[v] + z[v]

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, z_: T.handle, y_: T.handle):
        n, m = T.int64(), T.int64()
        x = T.match_buffer(x_, (n,))
        z = T.match_buffer(z_, (m,))
        y = T.match_buffer(y_, (m,))
        t = T.sblock_alloc_buffer((m,))
        for i in range(m):
            with T.sblock("t"):
                v = T.axis.spatial(m, i)
                t[v] = x[v * T.int64(2)]
        for i in range(m):
            with T.sblock("y"):
                v = T.axis.spatial(m, i)
                y[v] = t[v] + z[v]

    done = named_extents(before).without_attr("global_symbol")
    tvm.ir.assert_structural_equal(done, expected.without_attr("global_symbol"))


@pytest.mark.parametrize("shape", [(3, 4), "mn"], ids=["constants", "variables"])
def test_plain_extents_stay(shape):
    x = sized(*(variables(shape) if isinstance(shape, str) else shape))
    function = te.create_prim_func([x, te.compute(x.shape, lambda i, j: x[i, j] + 1)])
    assert named_extents(function).same_as(function)


@T.prim_func(s_tir=True)
def scaled(x_: T.handle, factor: T.float32, more: T.int64, y_: T.handle):
    n = T.int64()
    x = T.match_buffer(x_, (n,))
    y = T.match_buffer(y_, (n * T.int64(2) + more,))
    for i in range(n * T.int64(2) + more):
        with T.sblock("y"):
            v = T.axis.spatial(n * T.int64(2) + more, i)
            y[v] = x[v // T.int64(3)] * factor


def test_numbers_among_the_parameters():
    assert str(named_extents(scaled).params[3].shape[0]) == "extent0"
    kernel = tvm.compile(schedule(scaled, target()), target=target())["main"]
    x, y = np.arange(30, dtype=np.float32), tvm.runtime.empty((65,), "float32")
    kernel(tvm.runtime.tensor(x), 2.0, 5, y)
    np.testing.assert_array_equal(y.numpy(), x[np.arange(65) // 3] * 2)


@T.prim_func(s_tir=True)
def repeated(x_: T.handle, y_: T.handle):
    """Not made of blocks."""
    n = T.int64()
    x = T.match_buffer(x_, (n,))
    y = T.match_buffer(y_, (n * T.int64(2),))
    for i in range(n * T.int64(2)):
        y[i] = x[i // T.int64(2)]


def test_function_without_a_root_block_stays():
    assert named_extents(repeated).same_as(repeated)
    assert schedule(repeated, target()) is None


@T.prim_func(s_tir=True)
def strided(x_: T.handle, z_: T.handle, y_: T.handle):
    n, step = T.int64(), T.int64()
    x = T.match_buffer(x_, (n * T.int64(2), 8), strides=(step, 1))
    z = T.match_buffer(z_, (n,))
    y = T.match_buffer(y_, (n * T.int64(2), 8))
    for i, j in T.grid(n * T.int64(2), T.int64(8)):
        with T.sblock("y"):
            v, w = T.axis.remap("SS", [i, j])
            y[v, w] = x[v, w] + z[v // T.int64(2)]


def test_strides_stay():
    assert named_extents(strided).same_as(strided)


def test_extents_are_simplified_before_they_are_compared():
    """TVM has simplified the loops of the kernel, but not its parameters."""
    (n,) = variables("n")
    x = sized(2, n, 5)
    y = te.compute((2, (n + 0 - 3) // 1 + 1, 5), lambda i, j, k: x[i, j + 2, k] + 1)
    kernel = Symbolic([n], [x], y)
    assert "n - " not in kernel.scheduled.script()
    kernel.check([(size,) for size in SIZES if size > 2])


def test_a_stage_as_long_as_the_input_gets_the_result_s_name():
    """A depthwise window of five bytes without pads: its groups are as many as the pixels."""
    (n,) = variables("n")
    form = next(form for form in FORMATS if form.adds_groups)
    x, w = sized(1, n, 16, dtype="uint8"), sized(2, 16, name="w", dtype="int32")
    row = Grouped(5, 1, 1)
    padded = topi.nn.pad(x, [0, 0, 0], [0, row.more, 0])
    y = of_groups(padded, w, [n - 4], [1], [1], row, form)
    kernel = Symbolic([n], [x, w], y)
    assert kernel.rule == "depthwise"
    kernel.check([(size,) for size in SIZES if size > 4])
