"""Convolutions whose results have channels first, against ONNX Runtime and with channels last."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.channels_last import ChannelsLast
from quake_tvm.passes.relax.graph import Graph, op_name
from quake_tvm.passes.relax.plane_convolutions import PlaneConvolutions, few_channels
from tests.helpers import module
from tests.passes.relax.onnx_convolutions import check

RNG = np.random.default_rng(0)
nn, op = relax.op.nn, relax.op
LANES = 16
X = (2, 5, 6, 19)
W = RNG.normal(size=(3, 5, 3, 3)).astype(np.float32)


def conv(x, w=W, **options):
    return nn.conv2d(x, relax.const(w, str(w.dtype)), **options)


def compiled(mod, few=True, target="native"):
    """A model, and how a convolution is laid out without this pass if not ``few``."""
    with pytest.MonkeyPatch.context() as patch:
        if not few:
            patch.setattr(
                "quake_tvm.passes.relax.channels_last.few_channels", lambda call, lanes: False
            )
        return quake_tvm.compile(mod, target=target)


def test_only_the_result_has_channels_first():
    """What follows the convolution stays as it was."""

    def before(x):
        return op.sigmoid(conv(x, padding=1) + relax.const(np.ones((1, 3, 1, 1), "float32")))

    def expected(x):
        layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_layout": "NCHW"}
        last = op.permute_dims(x, (0, 2, 3, 1))
        weights = np.ascontiguousarray(W.transpose(0, 2, 3, 1))
        y = nn.conv2d(last, relax.const(weights), padding=1, **layouts)
        return op.sigmoid(y + relax.const(np.ones((1, 3, 1, 1), "float32")))

    after = ChannelsLast(LANES)(module(before, X))
    tvm.ir.assert_structural_equal(after, module(expected, X))
    tvm.ir.assert_structural_equal(ChannelsLast(LANES)(after), after)


def call_of(formula, *shapes, dtype="float32"):
    values = Graph(module(formula, *shapes, dtype=dtype)["main"]).values.values()
    return next(value for value in values if "conv" in op_name(value))


@pytest.mark.parametrize(
    ("formula", "shape", "lanes", "wanted"),
    [
        (conv, X, 16, True),
        (conv, X, 4, True),
        (lambda x: conv(x, np.concatenate([W, W[:1]])), X, 4, False),
        (lambda x: conv(x, np.concatenate([W, W])), X, 16, True),
        (lambda x: conv(x, np.concatenate([W, W, W[:2]])), X, 16, False),
        (lambda x: conv(x, W[..., :1, :1]), X, 16, False),
        (lambda x: conv(x, W[:, :, :1]), X, 16, True),
        (lambda x: conv(x, strides=[2, 1]), X, 16, True),
        (lambda x: conv(x, strides=[1, 2]), (2, 5, 6, 38), 16, True),
        (lambda x: conv(x, W[:, :1], groups=1), (2, 1, 6, 19), 16, True),
        (lambda x: conv(x, np.repeat(W[:, :1], 2, 0), groups=3), (2, 3, 6, 19), 16, False),
        (conv, (2, 5, 19, 6), 16, False),
        (conv, (2, 5, 6, tvm.tirx.Var("w", "int64")), 16, True),
    ],
    ids=[
        "three", "three_of_four_lanes", "four_of_four_lanes", "six", "eight", "pixel", "row",
        "strided_columns", "strided_row", "one_input_channel", "groups", "short_row", "any_row",
    ],
)  # fmt: skip
def test_which(formula, shape, lanes, wanted):
    assert few_channels(call_of(formula, shape), lanes) is wanted


def test_weights_in_bfloat16_have_instructions_of_their_own():
    weights = relax.const(W, "bfloat16")
    call = call_of(lambda x: nn.conv2d(x, weights, out_dtype="float32"), X)
    assert not few_channels(call, LANES)


@pytest.mark.parametrize(
    ("formula", "shapes", "dtype"),
    [
        (lambda x, w: nn.conv2d(x, w, groups=5), [X, (5, 1, 3, 3)], "float32"),
        (lambda x, w: nn.conv2d(x, w), [X, W.shape], "float64"),
        (lambda x: nn.relu(x), [X], "float32"),
    ],
    ids=["groups", "float64", "no_convolution"],
)
def test_stays(formula, shapes, dtype):
    mod = module(formula, *shapes, dtype=dtype)
    tvm.ir.assert_structural_equal(PlaneConvolutions()(mod), mod)


@pytest.mark.parametrize("constant", [True, False], ids=["constant", "computed"])
@pytest.mark.parametrize(
    ("shape", "size", "channels", "options"),
    [
        ((2, 5, 40), [4], 1, {"pads": [2, 1]}),
        ((1, 3, 9, 33), [3, 3], 3, {"pads": [1, 1, 1, 1]}),
        ((2, 1, 9, 21), [7, 3], 1, {"pads": [3, 1, 3, 1], "dilations": [1, 2]}),
        ((1, 6, 9, 16), [1, 3], 7, {"strides": [3, 1]}),
        ((1, 3, 9, 61), [2, 5], 2, {"pads": [1, 2, 0, 2], "strides": [2, 3], "dilations": [1, 2]}),
        ((1, 1, 80), [16], 1, {"strides": [2]}),
        ((1, 2, 4, 5, 18), [3, 2, 3], 2, {"pads": [1, 0, 1, 0, 1, 2]}),
        ((0, 3, 9, 33), [3, 3], 3, {}),
    ],
    ids=["sound", "image", "dilated", "rows", "strided", "halved", "volume", "empty"],
)
def test_against_onnx_runtime(shape, size, channels, options, constant):
    kernels = check("Conv", shape, size, channels, constant=constant, **options)
    assert 0 in shape or "fallback" not in kernels.values()


@pytest.mark.parametrize("strides", [[1, 1], [2, 3]], ids=str)
@pytest.mark.parametrize("unknown", [(0,), (2,), (3,), (0, 2, 3)], ids=str)
def test_unknown_extents(unknown, strides):
    for constant in (True, False):
        kernels = check(
            "Conv",
            (2, 3, 9, 53),
            [3, 3],
            3,
            constant=constant,
            unknown=unknown,
            pads=[1] * 4,
            strides=strides,
        )
        assert "fallback" not in kernels.values()


def test_same_bits_as_with_channels_last():
    """So bits depend neither on the target's vectors nor on whether sizes are known."""
    mod = module(lambda x: op.sigmoid(conv(x, padding=1)), X)
    x = RNG.normal(size=X).astype(np.float32)
    planes, last = compiled(mod)(x)[0], compiled(mod, few=False)(x)[0]
    np.testing.assert_array_equal(planes.view(np.int32), last.view(np.int32))
    width = tvm.tirx.Var("w", "int64")
    open_sizes = compiled(module(lambda x: op.sigmoid(conv(x, padding=1)), (*X[:3], width)))(x)[0]
    np.testing.assert_array_equal(planes.view(np.int32), open_sizes.view(np.int32))


@pytest.mark.parametrize(("target", "vector"), [("x86-64-v3", "%ymm"), ("x86-64-v4", "%zmm")])
def test_vectors_are_full(target, vector):
    mod = module(lambda x: conv(x, W[:1], padding=1), (1, 5, 8, 64))
    lines = compiled(mod, target=target).kernels.inspect_source("asm").splitlines()
    multiplied = [line for line in lines if "vfmadd" in line and "ss" in line.split()[0]]
    assert not multiplied
    assert any("vfmadd" in line and vector in line for line in lines)


def test_one_kernel():
    """The rows are brought in order, summed and passed on in one kernel, without a transpose."""

    def formula(x):
        hidden = nn.relu(conv(x, RNG.normal(size=(16, 5, 3, 3)).astype(np.float32)))
        return op.sigmoid(conv(hidden, RNG.normal(size=(1, 16, 3, 3)).astype(np.float32)))

    kernels = compiled(module(formula, (1, 5, 9, 40))).report.kernels
    assert sorted(kernels.values()) == ["elementwise", "matmul", "matmul"]
