"""Reductions over axes other than the last: right up to rounding, the bits of the plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import topi

from tests.schedules.kernels import both, placeholder, random_inputs
from tests.schedules.symbolic import SIZES, Symbolic, mixed, sized, variables

TARGETS = ["x86-64-v2", "x86-64-v3", "native"]


def pooled(kind, size, strides, padding, dilation=1):
    return lambda x: topi.nn.pool2d(
        x,
        [size] * 2,
        [strides] * 2,
        [dilation] * 2,
        [padding] * 4,
        kind,
        layout="NHWC",
        count_include_pad=False,
    )


def numpy_pool(x, kind, size, strides, padding, dilation=1):
    """Padding is ignored, both in maxima and in means."""
    empty = -np.inf if kind == "max" else np.nan
    x = np.pad(
        x.astype(np.float64), [(0, 0), *[(padding, padding)] * 2, (0, 0)], constant_values=empty
    )
    reach = (size - 1) * dilation + 1
    views = np.lib.stride_tricks.sliding_window_view(x, [reach] * 2, axis=(1, 2))
    views = views[:, ::strides, ::strides, :, ::dilation, ::dilation]
    return views.max((-2, -1)) if kind == "max" else np.nanmean(views, (-2, -1))


def check(shape, kind, *window, name="native"):
    x = placeholder(*shape)
    rule, ours, plain = both([x], pooled(kind, *window)(x), name)
    assert rule == ("pooling" if shape[-1] > 1 else "fallback")
    np.testing.assert_array_equal(ours, plain)
    exact = numpy_pool(*random_inputs([x]), kind, *window)
    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 33, 144])
def test_channels(channels, kind, name):
    check((1, 9, 11, channels), kind, 3, 2, 1, name=name)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_windows(size, strides, kind):
    check((2, 13, 17, 19), kind, size, strides, size // 2)


def test_dilation():
    check((1, 13, 17, 19), "max", 3, 2, 1, 2)


@settings(max_examples=20, deadline=None)
@given(
    pixels=st.tuples(st.integers(7, 33), st.integers(7, 33)),
    channels=st.integers(1, 70),
    kind=st.sampled_from(["max", "avg"]),
    size=st.integers(1, 5),
    strides=st.integers(1, 3),
    name=st.sampled_from(TARGETS),
)
def test_any(pixels, channels, kind, size, strides, name):
    check((1, *pixels, channels), kind, size, strides, size // 2, name=name)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("columns", [1, 2, 15, 17, 33, 997])
@pytest.mark.parametrize("reduce", ["sum", "max"])
def test_over_tokens(reduce, columns, name):
    x = placeholder(3, 40, columns)
    rule, ours, plain = both([x], getattr(topi, reduce)(x, axis=1), name)
    assert rule == ("pooling" if columns > 1 else "fallback")
    np.testing.assert_array_equal(ours, plain)
    exact = getattr(np, reduce)(random_inputs([x])[0].astype(np.float64), axis=1)
    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("columns", [17, 64])
def test_over_several_axes(axes, columns):
    x = placeholder(2, 7, 9, columns)
    rule, ours, plain = both([x], topi.sum(x, axis=axes))
    assert rule in ("pooling", "fallback")
    np.testing.assert_array_equal(ours, plain)
    exact = random_inputs([x])[0].astype(np.float64).sum(axes)
    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5)


def test_narrow_columns_beside_a_scalar():
    x, least = placeholder(3, 2, 1, 2), placeholder(name="least")
    clipped = topi.where(topi.greater(x, least), x, least)
    _, ours, plain = both([x, least], topi.sum(clipped, axis=0, keepdims=True))
    np.testing.assert_array_equal(ours, plain)


def test_epilogue_and_threads():
    x, b = placeholder(2, 33, 35, 40), placeholder(40, name="b")
    y = topi.tanh(topi.add(pooled("avg", 3, 1, 1)(x), b))
    _, ours, plain = both([x, b], y)
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("reduce", [topi.sum, topi.max])
def test_unknown_columns(reduce, name):
    m, n = variables("mn")
    x = sized(m, 3, n)
    kernel = Symbolic([m, n], [x], topi.tanh(reduce(x, axis=1)), name)
    assert kernel.rule == "pooling"
    kernel.check(mixed(2, (0, *SIZES)))


def test_unknown_columns_and_depth():
    m, n = variables("mn")
    x = sized(m, n)
    kernel = Symbolic([m, n], [x], topi.sum(x, axis=0))
    assert kernel.rule == "pooling"
    kernel.check(sizes for sizes in mixed(2, (0, *SIZES)) if sizes[0])
    assert not kernel.run("ours", (0, 9))[0].any()
