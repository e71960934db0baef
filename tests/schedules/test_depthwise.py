"""Depthwise convolutions of odd shapes: right up to rounding, with the bits of the plain loops."""

import numpy as np
import pytest
import tvm_ffi
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, topi

from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.depthwise import SHARES
from quake_tvm.tvm_version import tir
from tests.schedules.kernels import (
    both,
    depthwise,
    numpy_depthwise,
    placeholder,
    random_inputs,
)

TARGETS = ["x86-64-v2", "x86-64-v3", "native"]


def check(shape, size, name="native", **options):
    inputs, y = depthwise(shape, size, **options)
    rule, ours, plain = both(inputs, y, name)
    assert rule == "depthwise"
    np.testing.assert_array_equal(ours, plain)
    exact = numpy_depthwise(*random_inputs(inputs), **options)
    assert ours.shape == exact.shape
    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 33, 144])
def test_channels(channels, name):
    check((1, 9, 11, channels), 3, name, padding=(1, 1))


@pytest.mark.parametrize("pixels", [1, 2, 15, 17, 31, 33, 199])
def test_pixels(pixels):
    check((1, 3, pixels, 17), 3, padding=(1, 1))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_windows(size, strides, name):
    check((2, 13, 17, 19), size, name, strides=strides, padding=(size // 2, size // 3))


@pytest.mark.parametrize("dilation", [2, 3])
def test_dilation(dilation):
    check((1, 15, 16, 33), 3, dilation=dilation, strides=2, padding=(1, 3))


def test_several_bands_of_padded_rows():
    check((1, 97, 61, 33), 3, padding=(1, 1))


def test_one_dimension_of_pixels_and_three():
    check((3, 37, 17), 5, padding=(2, 2))
    check((1, 5, 6, 7, 18), 3, strides=2, padding=(1, 0))


@settings(max_examples=15, deadline=None)
@given(
    pixels=st.tuples(st.integers(1, 35), st.integers(1, 35)),
    channels=st.integers(1, 70),
    size=st.integers(1, 5),
    strides=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    name=st.sampled_from(TARGETS),
)
def test_any(pixels, channels, size, strides, dilation, padding, name):
    reach = (size - 1) * dilation + 1 - sum(padding)
    shape = (1, *(max(n, reach) for n in pixels), channels)
    check(shape, size, name, strides=strides, dilation=dilation, padding=padding)


@pytest.mark.parametrize("channels", [16, 21])
def test_epilogue(channels):
    inputs, y = depthwise((1, 10, 10, channels), 3, padding=(1, 1))
    b, residual = placeholder(channels, name="b"), placeholder(1, 10, 10, channels, name="r")
    z = topi.add(topi.clip(topi.add(y, b), 0.0, 6.0), residual)
    rule, ours, plain = both([*inputs, b, residual], z)
    assert rule == "depthwise"
    np.testing.assert_array_equal(ours, plain)


def test_bands_of_a_large_image_repeat_few_rows():
    """112 rows are 16 bands of seven, each padded to nine: bands of four would be padded to six."""
    inputs, y = depthwise((1, 112, 112, 16), 3, padding=(1, 1))
    done = schedule(te.create_prim_func([*inputs, y]), target("x86-64-v4"))
    loops = []
    tvm_ffi.structural_walk(done.body, (tir.For, loops.append))
    assert [int(n.extent) for n in loops if n.kind == tir.ForKind.PARALLEL] == [SHARES]
    rule, ours, plain = both(inputs, y)
    assert rule == "depthwise"
    np.testing.assert_array_equal(ours, plain)
