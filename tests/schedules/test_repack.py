"""A product that is rewritten for panels of another width gives the same for repacked weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax, te, topi
from tvm_ffi import structural_equal

from quake_tvm.passes.relax.pack_transposed_convolutions import PackTransposedConvolutions
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules.repack import panel_width, repacked
from quake_tvm.tvm_version import tir
from tests.helpers import module
from tests.schedules.kernels import RNG, build_and_run, convolution, placeholder, random_inputs
from tests.schedules.tunable import repacked_weights


def packed_product(rows, depth, columns, width):
    a, w = placeholder(rows, depth, name="a"), placeholder(-(-columns // width), depth, width)
    bias = placeholder(columns, name="b")
    y = topi.nn.relu(topi.add(packed_matmul(a, w, columns), bias))
    return te.create_prim_func([a, w, bias, y])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 60), st.data())
def test_products(rows, columns, data):
    old, new = (data.draw(st.integers(1, columns)) for _ in range(2))
    a, weights, bias = (
        RNG(0).normal(size=s).astype("float32") for s in ((rows, 5), (5, columns), columns)
    )
    function = packed_product(rows, 5, columns, old)
    assert panel_width(function) == old
    changed = repacked(function, new)
    assert panel_width(changed) == new
    given = [[a, panels(weights, width), bias] for width in (old, new)]
    expected = build_and_run(function, given[0], (rows, columns))
    np.testing.assert_array_equal(build_and_run(changed, given[1], (rows, columns)), expected)
    assert structural_equal(changed, packed_product(rows, 5, columns, new), map_free_vars=True)


@pytest.mark.parametrize(("groups", "axis"), [(1, 0), (2, 1)])
def test_convolutions(groups, axis):
    inputs, y, given, _ = convolution((1, 5, 7, 4 * groups), 35 * groups, 3, groups)
    function, shape = te.create_prim_func([*inputs, y]), [int(n) for n in y.shape]
    x, w = random_inputs(inputs, given)
    expected = build_and_run(function, [x, w], shape)
    changed = repacked(function, 12)
    other = repacked_weights(w, 35, 12, axis)
    assert [int(n) for n in changed.params[1].ty.shape] == list(other.shape)
    np.testing.assert_array_equal(build_and_run(changed, [x, other], shape), expected)


def test_transposed_convolutions():
    w = RNG(1).normal(size=(4, 3, 3, 35)).astype("float32")

    def formula(x):
        return relax.op.nn.conv2d_transpose(
            x, relax.const(w), strides=2, data_layout="NHWC", kernel_layout="IHWO"
        )

    mod = PackTransposedConvolutions(lambda *_: 16, 16)(module(formula, (1, 5, 6, 4)))
    function = next(f for _, f in mod.functions_items() if isinstance(f, tir.PrimFunc))
    function = function.with_attr("global_symbol", "main")
    shapes = [[int(n) for n in p.ty.shape] for p in function.params]
    x, packed = (RNG(n).normal(size=shape).astype("float32") for n, shape in enumerate(shapes[:2]))
    packed = repacked_weights(repacked_weights(packed, 35, 35, 2), 35, 16, 2)  # overlaps agree
    expected = build_and_run(function, [x, packed], shapes[2])
    other = repacked_weights(packed, 35, 8, 2)
    np.testing.assert_array_equal(
        build_and_run(repacked(function, 8), [x, other], shapes[2]), expected
    )


def test_its_own_width_changes_nothing():
    function = packed_product(3, 5, 40, 16)
    assert repacked(function, 16).same_as(function)


def test_what_has_no_panels():
    a, b = placeholder(33, 20, name="a"), placeholder(20, 40, name="b")
    assert panel_width(te.create_prim_func([a, b, topi.matmul(a, b)])) == 0
    x = placeholder(3, 40)
    assert panel_width(te.create_prim_func([x, topi.tanh(x)])) == 0
