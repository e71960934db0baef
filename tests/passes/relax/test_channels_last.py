"""float32 convolutions with constant weights use channels last, and adjacent transposes cancel."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.channels_last import ChannelsLast
from quake_tvm.passes.relax.graph import Graph, op_name
from quake_tvm.tvm_version import tir
from tests.helpers import module, once, run

RNG = np.random.default_rng(0)
X = (1, 4, 6, 7)
W = RNG.normal(size=(8, 4, 3, 3)).astype(np.float32)
V = RNG.normal(size=(5, 8, 1, 1)).astype(np.float32)
nn, op = relax.op.nn, relax.op


def const(values):
    return relax.const(np.ascontiguousarray(values), str(values.dtype))


def last(x):
    return op.permute_dims(x, (0, 2, 3, 1))


def first(x):
    return op.permute_dims(x, (0, 3, 1, 2))


def conv(x, w, **options):
    return nn.conv2d(x, const(w), **options)


def conv_last(x, w, **options):
    layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_layout": "NHWC"}
    return nn.conv2d(x, const(w.transpose(0, 2, 3, 1)), **layouts, **options)


def operators(mod):
    return [op_name(value) for value in Graph(mod["main"]).values.values()]


def layouts(mod):
    values = Graph(mod["main"]).values.values()
    return [str(v.attrs.data_layout) for v in values if "conv" in op_name(v)]


def test_two_convolutions_and_what_is_between():
    def before(x):
        active = nn.relu(conv(x, W, padding=1) + const(W[:, 0, 0, 0].reshape(1, 8, 1, 1)))
        return conv(active, V)

    def expected(x):
        active = nn.relu(
            conv_last(last(x), W, padding=1) + const(W[:, 0, 0, 0].reshape(1, 1, 1, 8))
        )
        return first(conv_last(active, V))

    after = ChannelsLast()(module(before, X))
    tvm.ir.assert_structural_equal(after, module(expected, X))
    tvm.ir.assert_structural_equal(ChannelsLast()(after), after)


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        (lambda x: nn.conv1d(x, const(W[:, :, 0])), (2, 4, 9)),
        (lambda x: nn.conv2d(x, const(W[:, :1]), groups=4), X),
        (lambda x: nn.conv3d(x, const(W[:, :, None])), (1, 4, 3, 6, 7)),
        (lambda x: nn.conv1d_transpose(x, const(W[:4, :, 0])), (2, 4, 9)),
        (lambda x: nn.conv2d_transpose(x, const(W[:4]), strides=2), X),
    ],
    ids=["conv1d", "groups", "conv3d", "conv1d_transpose", "conv2d_transpose"],
)
def test_kinds(formula, shape):
    x = RNG.normal(size=shape).astype(np.float32)
    mod = module(formula, shape)
    after = ChannelsLast()(mod)
    assert layouts(after)[0] in ("NWC", "NHWC", "NDHWC")
    if "transpose" not in operators(mod)[0]:  # TVM has no kernels with channels last for these
        np.testing.assert_allclose(run(after, x), run(mod, x), rtol=1e-4, atol=1e-5)
    (y,) = quake_tvm.compile(mod).run(x)
    np.testing.assert_allclose(y, run(mod, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("formula", "shapes", "dtype"),
    [
        (nn.relu, [X], "float32"),
        (lambda x: op.matmul(x, x), [(2, 4, 4)], "float32"),
        (lambda x, w: nn.conv2d(x, w), [X, W.shape], "float32"),
        (lambda x: conv(x, W.astype(np.float16)), [X], "float16"),
        (lambda x: conv(x, W.astype(np.float64)), [X], "float64"),
        (
            lambda x: nn.conv2d_transpose(x, const(W[:4, :2]), groups=2),
            [X],
            "float32",
        ),
        (lambda x: nn.conv2d_transpose(x, const(W[:4]), dilation=2), [X], "float32"),
        (
            lambda x: nn.conv2d_transpose(x, const(W[:4])),
            [(1, 4, tir.Var("h", "int64"), 7)],
            "float32",
        ),
        (lambda x: conv_last(x, W), [(1, 6, 7, 4)], "float32"),
    ],
    ids=[
        "no_convolution",
        "matmul",
        "weights_not_constant",
        "float16",
        "float64",
        "grouped_transpose",
        "dilated_transpose",
        "transpose_of_unknown_pixels",
        "channels_last_already",
    ],
)
def test_stays(formula, shapes, dtype):
    mod = module(formula, *shapes, dtype=dtype)
    after = ChannelsLast()(mod)
    assert operators(after) == operators(mod)
    assert layouts(after) == layouts(mod)


BETWEEN = {
    "pool": lambda x: nn.max_pool2d(x, (2, 2)),
    "mean": lambda x: op.mean(x, axis=[2, 3], keepdims=True) + x,
    "concat": lambda x: op.concat([x, nn.relu(x)], 1),
    "split": lambda x: (parts := once(op.split(x, 2, 1)))[0] * parts[1],
    "stack": lambda x: op.sum(op.stack([x, nn.relu(x)], 2), 2),
    "squeeze": lambda x: op.squeeze(op.expand_dims(x, -2), [-2]),
    "reshape": lambda x: op.reshape(op.reshape(x, (1, 8, -1)), (1, 8, 4, 5)),
    "pad": lambda x: nn.pad(x, [0, 0, 0, 0, 1, 2, 0, 1]),
    "softmax": lambda x: nn.softmax(x, 1),
    "layer_norm": lambda x: nn.layer_norm(x, *map(const, np.float32([[1] * 5, [2] * 5])), axes=-1),
    "squeeze_and_excite": lambda x: (
        x * op.sigmoid(conv(op.mean(x, axis=[2, 3], keepdims=True), W[:, :, :1, :1].repeat(2, 1)))
    ),
    "matmul": lambda x: op.matmul(x, op.permute_dims(x, (0, 1, 3, 2))),
    "broadcast": lambda x: x + const(np.arange(5, dtype=np.float32)),
    "slice": lambda x: op.strided_slice(x, [1, 3], [0, 1], [8, 5], [2, 1]),
    "resize": lambda x: relax.op.image.resize2d(x, (7, 9), method="linear"),
    "cumsum": lambda x: op.cumsum(x, 1),
    "gather": lambda x: op.take(x, const(np.array([3, 1, 1])), 1),
    "where": lambda x: op.where(op.greater(x, relax.const(0.0)), x, op.exp(x)),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_what_stands_behind_a_convolution_is_right(name):
    def formula(x):
        return BETWEEN[name](once(nn.relu(once(conv(x, W)))))

    x = RNG.normal(size=X).astype(np.float32)
    mod = module(formula, X)
    expected = run(mod, x)
    (y,) = quake_tvm.compile(mod, method="exact").run(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
