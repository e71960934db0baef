"""Transposed convolutions phase by phase, against ONNX Runtime."""

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.pack_transposed_convolutions import PackTransposedConvolutions
from tests.helpers import module
from tests.passes.relax.onnx_convolutions import RNG, check, model

nn = relax.op.nn


def transposed(x, w, **options):
    layouts = {"data_layout": "NHWC", "kernel_layout": "IHWO", "out_layout": "NHWC"}
    return nn.conv2d_transpose(x, w, **layouts, **options)


W = np.ones((4, 3, 3, 16), "float32")


@pytest.mark.parametrize(
    ("formula", "shapes", "dtype"),
    [
        (lambda x, w: transposed(x, w), [(1, 6, 7, 4), W.shape], "float32"),
        (lambda x: transposed(x, relax.const(W.astype("float16"))), [(1, 6, 7, 4)], "float16"),
        (lambda x: transposed(x, relax.const(W), dilation=2), [(1, 6, 7, 4)], "float32"),
        (lambda x: transposed(x, relax.const(W[..., :3])), [(1, 6, 7, 4)], "float32"),
        (lambda x: transposed(x, relax.const(W), groups=2), [(1, 6, 7, 4)], "float32"),
        (relax.op.exp, [(1, 6, 7, 4)], "float32"),
    ],
    ids=[
        "weights_not_constant",
        "float16",
        "dilation",
        "no_panel_fits",
        "groups",
        "no_convolution",
    ],
)
def test_stays(formula, shapes, dtype):
    mod = module(formula, *shapes, dtype=dtype)
    rule = PackTransposedConvolutions(lambda key, _: 8 if key.shape[-2] >= 8 else None, 0)
    tvm.ir.assert_structural_equal(rule(mod), mod)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("rank", [1, 2])
def test_sizes_and_strides(rank, size, stride):
    kernels = check(
        "ConvTranspose", (2, 5, *(7, 6)[:rank]), [size] * rank, 17, strides=[stride] * rank
    )
    assert "matmul" in kernels.values()


@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 1, 2, 0), (2, 0, 1, 2)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding(stride, pads):
    check("ConvTranspose", (1, 5, 7, 6), (4, 5), 8, strides=[stride] * 2, pads=pads)


@pytest.mark.parametrize("more", [(1, 0), (1, 2), (2, 2)], ids=str)
def test_output_padding(more):
    check(
        "ConvTranspose", (1, 5, 7, 6), (3, 3), 8, strides=[3, 3], pads=[1] * 4, output_padding=more
    )


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 40),
    pixels=st.tuples(st.integers(1, 9), st.integers(1, 17)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    output_padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_any(inputs, outputs, pixels, size, strides, pads, output_padding):
    output_padding = [min(p, s - 1) for p, s in zip(output_padding, strides, strict=True)]
    pixels = [
        max(n, -(-(pads[k] + pads[k + 2] - size[k] + 1) // strides[k]) + 1)
        for k, n in enumerate(pixels)
    ]
    check(
        "ConvTranspose",
        (1, inputs, *pixels),
        size,
        outputs,
        strides=strides,
        pads=pads,
        output_padding=output_padding,
    )


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_groups(stride, groups):
    check("ConvTranspose", (1, 8, 7, 6), (3, 3), 12, groups, strides=[stride] * 2)


def test_three_dimensions():
    check("ConvTranspose", (1, 4, 3, 4, 5), (3, 2, 3), 8, strides=[2, 1, 2])


def test_dilation():
    check("ConvTranspose", (1, 4, 6, 7), (3, 3), 8, dilations=[2, 2])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes(dtype):
    check("ConvTranspose", (1, 4, 6, 7), (3, 3), 8, dtype=dtype, strides=[2, 2])


def test_weights_that_are_inputs():
    check("ConvTranspose", (1, 4, 6, 7), (3, 3), 8, constant=False, strides=[2, 2])


@pytest.mark.parametrize(
    ("unknown", "size", "options"),
    [
        ((0,), (3, 3), {}),
        ((3,), (3, 3), {}),
        ((2, 3), (2, 2), {}),
        ((0, 2, 3), (4, 4), {"pads": [1] * 4}),
        ((0, 2, 3), (3, 1), {"pads": [1, 0, 1, 0], "output_padding": [1, 0]}),
        ((2, 3), (3, 3), {"group": 2}),
    ],
    ids=str,
)
def test_unknown_extents(unknown, size, options):
    groups = options.get("group", 1)
    kernels = check(
        "ConvTranspose", (2, 4, 6, 7), size, 8, groups, unknown=unknown, strides=[2, 2], **options
    )
    assert groups > 1 or "matmul" in kernels.values()


@pytest.mark.parametrize(
    "attributes",
    [{"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}, {"strides": [3, 1]}],
    ids=["padded", "cut"],
)
def test_unknown_extents_give_the_bits_of_known_ones(attributes):
    weights = RNG(0).normal(size=(4, 8, 3, 3)).astype(np.float32)
    proto = model("ConvTranspose", ["n", 4, "h", "w"], weights, **attributes)
    unknown = quake_tvm.compile(proto, method="exact")
    for shape in ((1, 4, 9, 16), (3, 4, 1, 2)):
        x = RNG(1).normal(size=shape).astype(np.float32)
        known = quake_tvm.compile(proto, method="exact", shapes={"x": shape})
        np.testing.assert_array_equal(unknown.run(x)[0], known.run(x)[0])
