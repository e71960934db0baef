"""float32 convolutions with constant weights use channels last, and adjacent transposes cancel."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.channels_last import ChannelsLast
from quake_tvm.passes.relax.graph import Graph, op_name
from tests.helpers import module, once, run

RNG = np.random.default_rng(0)
LANES = 16
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


@pytest.mark.parametrize("activation", [nn.relu, nn.leakyrelu, nn.softplus])
def test_two_convolutions_and_what_is_between(activation):
    def before(x):
        active = activation(conv(x, W, padding=1) + const(W[:, 0, 0, 0].reshape(1, 8, 1, 1)))
        return conv(active, V)

    def expected(x):
        active = activation(
            conv_last(last(x), W, padding=1) + const(W[:, 0, 0, 0].reshape(1, 1, 1, 8))
        )
        return first(conv_last(active, V))

    after = ChannelsLast(LANES)(module(before, X))
    tvm.ir.assert_structural_equal(after, module(expected, X))
    tvm.ir.assert_structural_equal(ChannelsLast(LANES)(after), after)


@pytest.mark.parametrize("swapped", [False, True])
def test_numbers_of_any_rank_and_what_averages_over_pixels(swapped):
    """A scale as an exporter writes it, of shape (1,), and a branch of a squeeze and excitation."""

    def model(scale, to, back, axes):
        def formula(x):
            y = once(to(x))
            z = once(op.multiply(scale, y) if swapped else op.multiply(y, scale))
            return back(op.multiply(z, op.mean(z, axes, keepdims=True)))

        return module(formula, X)

    def before(x):
        return conv(x, W, padding=1)

    def after(x):
        return conv_last(last(x), W, padding=1)

    ones = np.full(1, 0.5, np.float32)
    done = ChannelsLast(LANES)(model(const(ones), before, lambda y: y, (2, 3)))
    expected = model(relax.const(np.float32(0.5)), after, first, (1, 2))
    tvm.ir.assert_structural_equal(done, expected)


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
    after = ChannelsLast(LANES)(mod)
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
        "channels_last_already",
    ],
)
def test_stays(formula, shapes, dtype):
    mod = module(formula, *shapes, dtype=dtype)
    after = ChannelsLast(LANES)(mod)
    assert operators(after) == operators(mod)
    assert layouts(after) == layouts(mod)


def two_weights(axes, shape=(1, 8, 4, 5)):
    generator = np.random.default_rng(len(axes))
    extents = [shape[a] for a in axes]
    return [const(generator.normal(size=extents).astype(np.float32)) for _ in range(2)]


BETWEEN = {
    "pool": lambda x: nn.max_pool2d(x, (2, 2)),
    "leakyrelu": lambda x: nn.leakyrelu(x, 0.2),
    "softplus": nn.softplus,
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
    **{
        f"{operator.__name__} {axes} {keepdims}": lambda x, f=operator, a=axes, k=keepdims: f(
            x, a, keepdims=k
        )
        for operator in (op.sum, op.max, op.min, op.mean, op.prod, op.variance, op.std)
        for axes, keepdims in (([1], False), ([-1, 0], False), ([1, 2, 3], False), ([3, 1], True))
    },
    **{
        f"layer_norm {axes}": lambda x, a=axes: nn.layer_norm(x, *two_weights(a), axes=a)
        for axes in ([1], [1, 2], [1, 2, 3], [2, 3], [-1, -3])
    },
    **{
        f"rms_norm {axes}": lambda x, a=axes: nn.rms_norm(x, two_weights(a)[0], axes=a)
        for axes in ([1], [-1], [1, 2, 3], [2, 3])
    },
    **{
        f"group_norm {axis} {axes}": lambda x, c=axis, a=axes: nn.group_norm(
            x, *two_weights([c]), 2, channel_axis=c, axes=a
        )
        for axis, axes in ((1, [2, 3]), (1, [3]), (2, [1, 3]))
    },
    **{
        f"instance_norm {axis} {axes}": lambda x, c=axis, a=axes: nn.instance_norm(
            x, *two_weights([c]), channel_axis=c, axes=a
        )
        for axis, axes in ((1, [2, 3]), (1, [3]), (3, [1, 2]), (1, [0, 2, 3]))
    },
    **{
        f"permute_dims {axes}": lambda x, a=axes: op.permute_dims(x, a)
        for axes in ((0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2), None)
    },
    **{f"expand_dims {a}": lambda x, a=a: op.expand_dims(x, a) for a in (0, 1, -1, [1, 3])},
    **{f"softmax {axis}": lambda x, a=axis: nn.softmax(x, a) for axis in (-1, 2, 0)},
    **{f"split {a}": lambda x, a=a: once(op.split(x, [2], a))[1] for a in (1, -1, 2)},
    **{f"concat {a}": lambda x, a=a: op.concat([x, op.exp(x)], a) for a in (-1, 2, -3)},
    **{f"stack {a}": lambda x, a=a: op.stack([x, op.exp(x)], a) for a in (0, -1, 1, 4)},
    **{f"flip {axis}": lambda x, a=axis: op.flip(x, a) for axis in (1, 3, -2)},
    **{f"repeat {axis}": lambda x, a=axis: op.repeat(x, 2, a) for axis in (1, -1, None)},
    **{f"tile {n}": lambda x, n=n: op.tile(x, n) for n in ((1, 2, 1, 1), (3,), (2, 1, 1, 1, 2))},
    **{f"cumsum {axis}": lambda x, a=axis: op.cumsum(x, a) for axis in (3, -3, None)},
    "squeeze one": lambda x: op.squeeze(op.expand_dims(op.squeeze(x, [0]), 1), [1]),
    "squeeze all": lambda x: op.squeeze(x),
    "slice from behind": lambda x: op.strided_slice(x, [-1, -3], [4, 1], [0, 7], [-1, 2]),
    "prelu": lambda x: nn.prelu(x, const(np.linspace(0, 1, 8, dtype=np.float32)), 1),
    "gather_elements": lambda x: op.gather_elements(x, const(np.int64([[[[2]], [[1]]]])), 1),
    "scatter_elements": lambda x: op.scatter_elements(
        x, const(np.int64([[[[2]], [[1]]]])), const(np.float32([[[[7]], [[8]]]])), 1
    ),
    "scatter_nd": lambda x: op.scatter_nd(
        x, const(np.int64([[0, 3], [0, 5]])), const(np.ones((2, 4, 5), np.float32))
    ),
    "take of pixels": lambda x: op.take(x, const(np.int64([[2, 0], [1, 1]])), 2),
    "average pool": lambda x: nn.avg_pool2d(x, (2, 3), padding=(1, 1), count_include_pad=True),
    "adaptive pool": lambda x: nn.adaptive_avg_pool2d(x, (2, 3)),
    "resize cubic": lambda x: relax.op.image.resize2d(x, (3, 8), method="cubic"),
    "vector first": lambda x: op.subtract(const(np.arange(5, dtype=np.float32)), x),
    "matrix": lambda x: x * const(np.arange(20, dtype=np.float32).reshape(4, 5)),
    "channels": lambda x: op.power(const(np.float32([[[2]], [[3]]] * 4)), x),
    "five dimensions": lambda x: x + const(np.ones((2, 1, 1, 4, 1), np.float32)),
    "log_add_exp": lambda x: op.log_add_exp(x, op.negative(x)),
    "broadcast_to": lambda x: op.broadcast_to(x, (3, 8, 4, 5)),
    "flatten": lambda x: op.matmul(op.flatten(x), const(np.arange(160, dtype=np.float32) % 7)),
    "argmax": lambda x: op.argmax(x, 1),
    "topk": lambda x: once(op.topk(x, 2, 1))[0],
}


@pytest.mark.slow
def test_what_stands_behind_a_convolution_is_right():
    """Beside the same operators behind an input. With all cases in one module."""

    def behind(x):
        return tuple(of(x) for of in BETWEEN.values())

    x = RNG.normal(size=X).astype(np.float32)
    pixels = run(module(lambda x: nn.relu(once(conv(x, W))), X), x)
    expected = quake_tvm.compile(module(behind, pixels.shape), method="exact").run(pixels)
    mod = module(lambda x: behind(once(nn.relu(once(conv(x, W))))), X)
    found = quake_tvm.compile(mod, method="exact").run(x)
    for name, y, wanted in zip(BETWEEN, found, expected, strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5, err_msg=name)


def test_quantized_convolutions_have_no_transposes_between():
    w, v = (x.astype("int8") for x in (10 * W, 10 * V))

    def summed(x, w, **options):
        return once(nn.conv2d(x, const(w), out_dtype="int32", **options))

    def before(x):
        sums = once(op.add(summed(x, w, padding=1), const(np.ones((8, 1, 1), "int32"))))
        real = once(op.multiply(once(op.astype(sums, "float32")), relax.const(0.01, "float32")))
        one, zero = relax.const(1, "float32"), relax.const(3, "uint8")
        y = once(op.quantize(once(op.clip(real, -9, 9)), one, zero, axis=1, out_dtype="uint8"))
        return summed(once(nn.pad(y, [0, 0, 0, 0, 1, 1, 1, 1], pad_value=3)), v)

    mod = module(before, X, dtype="uint8")
    after = ChannelsLast(LANES)(mod)
    assert operators(after).count("relax.permute_dims") == 2
    assert layouts(after) == ["NHWC", "NHWC"]
    x = RNG.integers(0, 256, X).astype(np.uint8)
    np.testing.assert_array_equal(run(after, x), run(mod, x))


def test_dynamically_quantized_convolutions_have_no_transposes_between():
    """The scale and the zero point are numbers that the model computes."""
    w, v = (x.astype("int8") for x in (10 * W, 10 * V))

    def summed(x, w, **options):
        return once(nn.conv2d(x, const(w), out_dtype="int32", **options))

    def before(x):
        real = once(nn.relu(once(op.astype(summed(x, w, padding=1), "float32"))))
        scale = once(op.divide(once(op.max(real)), relax.const(200, "float32")))
        zero = once(op.astype(once(op.round(once(op.min(real)))), "uint8"))
        return summed(once(op.quantize(real, scale, zero, axis=1, out_dtype="uint8")), v)

    mod = module(before, X, dtype="uint8")
    after = ChannelsLast(LANES)(mod)
    assert operators(after).count("relax.permute_dims") == 2
    x = RNG.integers(0, 256, X).astype(np.uint8)
    np.testing.assert_array_equal(run(after, x), run(mod, x))
