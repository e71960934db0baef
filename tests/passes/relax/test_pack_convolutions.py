"""Convolutions of every kind against ONNX Runtime, and which are packed."""

import itertools
from functools import partial

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.pack_convolutions import PackConvolutions, Window, packed_convolution
from quake_tvm.passes.relax.pack_weights import panels
from quake_tvm.tvm_version import tir
from tests.helpers import module
from tests.passes.relax.onnx_convolutions import check, model

RNG = np.random.default_rng(0)
nn = relax.op.nn


def panels_of_8(key, _):
    return 8 if key.shape[-2] >= 8 else None


def const(values):
    return relax.const(np.ascontiguousarray(values), str(values.dtype))


def conv(x, w, **options):
    layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_layout": "NHWC"}
    return nn.conv2d(x, w, **layouts, **options)


def test_weights_become_panels():
    shape, w = (1, 6, 7, 4), RNG.normal(size=(16, 3, 2, 4)).astype(np.float32)

    view = Window((3, 2), (2, 1), (1, 2), (1, 0), (0, 1))

    def expected(x):
        return relax.BlockBuilder.current().call_te(
            partial(packed_convolution, channels=16, window=view),
            x,
            const(panels(np.moveaxis(w, 0, -1), 8)),
            [tir.const(3, "int64"), tir.const(6, "int64")],
            primfunc_name_hint="conv",
            primfunc_attrs={"op_pattern": 4},
        )

    def before(x):
        return conv(x, const(w), strides=(2, 1), dilation=(1, 2), padding=(1, 0, 0, 1))

    after = PackConvolutions(panels_of_8)(module(before, shape))
    tvm.ir.assert_structural_equal(after, module(expected, shape))


ONES = np.ones((16, 3, 3, 4), "float32")


def window_first(x):
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
    return nn.conv2d(x, const(np.moveaxis(ONES, 0, -1)), **layouts)


@pytest.mark.parametrize(
    ("formula", "shapes", "dtype"),
    [
        (lambda x, w: conv(x, w), [(1, 6, 7, 4), (16, 3, 3, 4)], "float32"),
        (lambda x: conv(x, const(ONES.astype("float16"))), [(1, 6, 7, 4)], "float16"),
        (lambda x: conv(x, const(ONES[:3])), [(1, 6, 7, 4)], "float32"),
        (lambda x: nn.conv2d(x, const(ONES.transpose(0, 3, 1, 2))), [(1, 4, 6, 7)], "float32"),
        (lambda x: window_first(x), [(1, 6, 7, 4)], "float32"),
        (lambda x: relax.op.exp(x), [(1, 6, 7, 4)], "float32"),
    ],
    ids=[
        "weights_not_constant",
        "float16",
        "no_panel_fits",
        "channels_first",
        "window_first",
        "no_convolution",
    ],
)
def test_stays(formula, shapes, dtype):
    mod = module(formula, *shapes, dtype=dtype)
    tvm.ir.assert_structural_equal(PackConvolutions(panels_of_8)(mod), mod)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_ranks(rank, size):
    kernels = check("Conv", (2, 6, *(11, 9, 7)[:rank]), [size] * rank, 17, pads=[1, 0] * rank)
    assert "matmul" in kernels.values()


@pytest.mark.parametrize("groups", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 5, 16])
def test_groups(groups, channels):
    check("Conv", (1, groups * 3, 9, 10), (3, 3), groups * channels, groups, strides=[2, 1])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 4, 33])
def test_depthwise(channels, rank):
    shape = (1, channels, *(11, 9, 7)[:rank])
    kernels = check("Conv", shape, [3] * rank, channels, channels, pads=[1] * 2 * rank)
    assert channels == 1 or "depthwise" in kernels.values()


@pytest.mark.parametrize("unknown", [(), (0, 2, 3)], ids=str)
@pytest.mark.parametrize("multiplier", [2, 3])
def test_depthwise_with_several_outputs_a_channel(multiplier, unknown):
    outputs, pads = 8 * multiplier, [1, 1, 1, 1]
    kernels = check("Conv", (1, 8, 9, 10), (3, 3), outputs, 8, unknown=unknown, pads=pads)
    assert "depthwise" in kernels.values()


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_automatic_padding(auto_pad):
    check("Conv", (1, 3, 10, 11), (4, 3), 8, auto_pad=auto_pad, strides=[2, 3])


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 40),
    groups=st.sampled_from([1, 1, 2, 3]),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    extra=st.tuples(st.integers(0, 12), st.integers(0, 12)),
)
def test_any(inputs, outputs, groups, size, strides, dilations, pads, extra):
    pixels = [
        max(1, (k - 1) * d + 1 - pads[n] - pads[n + 2]) + more
        for n, (k, d, more) in enumerate(zip(size, dilations, extra, strict=True))
    ]
    check(
        "Conv",
        (1, inputs * groups, *pixels),
        size,
        outputs * groups,
        groups,
        strides=strides,
        dilations=dilations,
        pads=pads,
    )


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_other_dtypes(groups, dtype):
    check("Conv", (1, 8, 9, 10), (3, 3), 16, groups, dtype=dtype, pads=[1, 0, 0, 1])


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_weights_that_are_inputs(groups):
    check("Conv", (1, 8, 9, 10), (3, 3), 16, groups, constant=False, strides=[2, 2])


@pytest.mark.parametrize(
    ("unknown", "groups"),
    [*itertools.product([(0,), (2,), (0, 2, 3)], [1, 2, 8]), ((3,), 1)],
    ids=str,
)
def test_unknown_extents(unknown, groups):
    kernels = check("Conv", (2, 8, 9, 10), (3, 3), 16, groups, unknown=unknown, strides=[2, 1])
    assert "fallback" not in kernels.values()


def test_groups_of_unknown_extents_have_the_bits_of_known_ones():
    x, weights = RNG.normal(size=(2, 6, 9, 7)), RNG.normal(size=(8, 3, 3, 3))
    x, weights, bias = (a.astype("float32") for a in (x, weights, RNG.normal(size=8)))
    known, unknown = (
        quake_tvm.compile(
            model("Conv", shape, weights, bias, "float32", True, group=2, kernel_shape=[3, 3])
        )
        for shape in (x.shape, ["n", 6, "h", "w"])
    )
    np.testing.assert_array_equal(unknown(x)[0], known(x)[0])
