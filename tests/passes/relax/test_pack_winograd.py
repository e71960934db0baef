"""Which convolutions Winograd's algorithm computes, and that it is the same for every build."""

import numpy as np
import pytest
import tvm_ffi
from onnx import helper, numpy_helper, parser
from tvm import relax

import quake_tvm
from quake_tvm.numerics import winograd
from quake_tvm.numerics.number_formats import FORMATS
from quake_tvm.passes.relax.pack_winograd import FEWEST, MOST, PackWinograd
from tests.helpers import module
from tests.passes.relax.onnx_convolutions import model, runtime

RNG = np.random.default_rng


def drawn(outputs, inputs, size=(3, 3)):
    return RNG(0).normal(size=(outputs, inputs, *size)).astype(np.float32)


def conv(shape, weights, *tail, **attributes):
    """A model of one convolution, padded by one pixel, and of element-wise operators behind it."""
    attributes = {"pads": [1] * 4} | attributes
    proto = model("Conv", shape, weights, RNG(1).normal(size=len(weights)), **attributes)
    for n, kind in enumerate(tail):
        last = proto.graph.node[-1]
        last.output[0] = f"t{n}"
        operands = [f"t{n}", "x"] if kind == "Add" else [f"t{n}"]
        proto.graph.node.append(helper.make_node(kind, operands, ["y"]))
    return proto


def by_winograd(compiled):
    return "winograd" in compiled.report.kernels.values()


@pytest.mark.parametrize("tail", [(), ("Relu",), ("Add", "Relu"), ("Sigmoid",), ("Gelu",)])
@pytest.mark.parametrize("shape", [(1, 16, 9, 12), (3, 20, 7, 5)])
def test_right(shape, tail):
    proto = conv(shape, drawn(shape[1] if "Add" in tail else 33, shape[1]), *tail)
    proto.opset_import[0].version = 20
    compiled, x = quake_tvm.compile(proto), RNG(2).normal(size=shape).astype(np.float32)
    assert by_winograd(compiled)
    np.testing.assert_allclose(compiled(x)[0], runtime(proto, x), rtol=1e-4, atol=1e-4)


def test_each_convolution_of_a_chain_takes_its_epilogue_in():
    """Its loops are long, but what is behind reads a result, and repeats none of them."""
    proto = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> chain (float[1, 16, 9, 12] x) => (y) {'
        "p = Conv<pads = [1, 1, 1, 1]>(x, w) q = Relu(p)"
        "r = Conv<pads = [1, 1, 1, 1]>(q, w) s = Add(r, x) y = Relu(s) }"
    )
    proto.graph.initializer.append(numpy_helper.from_array(drawn(16, 16), "w"))
    compiled, x = quake_tvm.compile(proto), RNG(2).normal(size=(1, 16, 9, 12)).astype(np.float32)
    kernels = compiled.report.kernels
    assert [name for name in kernels if "relu" in name] == [k for k in kernels if "winograd" in k]
    np.testing.assert_allclose(compiled(x)[0], runtime(proto, x), rtol=1e-3, atol=1e-3)


LAYOUTS = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_layout": "NHWC"}


def taken(outputs, inputs, size=(3, 3), fill=1.0, dtype="float32", **options):
    """Whether the pass takes a convolution."""
    weights = np.full((outputs, *size, inputs // options.get("groups", 1)), fill, dtype)

    def formula(x):
        return relax.op.nn.conv2d(x, relax.const(weights), **LAYOUTS, **options)

    mod = module(formula, (1, 9, 9, inputs))
    after = PackWinograd(lambda key, rows: 16)(mod)
    return not tvm_ffi.structural_equal(after, mod)


@pytest.mark.parametrize(
    ("more", "yes"),
    [
        ({}, True),
        ({"padding": (1, 0, 2, 1)}, True),
        ({"strides": (2, 1)}, False),
        ({"dilation": (1, 2)}, False),
        ({"groups": 2}, False),
        ({"size": (3, 1)}, False),
        ({"size": (5, 5)}, False),
        ({"fill": np.inf}, False),
        ({"inputs": FEWEST - 1}, False),
        ({"outputs": FEWEST - 1}, False),
        ({"outputs": MOST // FEWEST, "inputs": FEWEST}, True),
        ({"outputs": MOST // FEWEST + 1, "inputs": FEWEST}, False),
    ],
    ids=str,
)
def test_what_is_taken(more, yes):
    assert taken(**{"outputs": 32, "inputs": 32, **more}) == yes


@pytest.mark.parametrize(
    ("inputs", "precision", "yes"),
    [(16, "bfloat16", True), (17, "bfloat16", False), (16, "float16", False)],
)
def test_precision(inputs, precision, yes):
    proto = conv((1, inputs, 9, 9), drawn(16, inputs))
    compiled = quake_tvm.compile(proto, precision=precision)
    assert by_winograd(compiled) == yes
    x = RNG(2).normal(size=(1, inputs, 9, 9)).astype(np.float32)
    rounding = FORMATS[precision].rounding
    # The weights are rounded a first time before they are transformed.
    bound = winograd.bound(abs(x).max(), drawn(16, inputs).transpose(0, 2, 3, 1), 2 * rounding)
    error = abs(compiled(x)[0] - runtime(proto, x)).max((0, 2, 3))
    assert (error <= bound).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_whose_transform_overflows_are_summed_directly(precision):
    """A factor is up to 9/4 of the largest weight."""
    weights = np.full((16, 16, 3, 3), 2.0**127, np.float32)
    compiled = quake_tvm.compile(conv((1, 16, 5, 5), weights), precision=precision)
    assert not by_winograd(compiled)
    x = np.full((1, 16, 5, 5), 2.0**-40, np.float32)
    assert compiled(x)[0][0, 0, 2, 2] == 9 * 16 * 2.0**87


def test_bfloat16_weights_of_a_model_are_multiplied_by_float32_numbers():
    assert not taken(32, 32, dtype="bfloat16", out_dtype="float32")


def test_without():
    proto, x = conv((1, 16, 9, 9), drawn(16, 16)), RNG(2).normal(size=(1, 16, 9, 9))
    x = x.astype(np.float32)
    plain, fast = (quake_tvm.compile(proto, winograd=on) for on in (False, True))
    assert not by_winograd(plain)
    assert by_winograd(fast)
    bound = winograd.bound(abs(x).max(), drawn(16, 16).transpose(0, 2, 3, 1))
    # The direct sum has an error too, which is below its own, smaller bound.
    assert (abs(plain(x)[0] - fast(x)[0]).max((0, 2, 3)) <= 2 * bound).all()


@pytest.mark.parametrize("tail", [(), ("Add", "Relu")])
def test_builds_for_any_size_have_the_bits_of_static_ones(tail):
    weights = drawn(24, 24)
    free = quake_tvm.compile(conv(("n", 24, "h", "w"), weights, *tail))
    for size in [(1, 1, 1), (1, 2, 5), (2, 7, 6), (1, 13, 30)]:
        shape = (size[0], 24, *size[1:])
        x = RNG(2).normal(size=shape).astype(np.float32)
        fixed = quake_tvm.compile(conv(shape, weights, *tail))
        assert by_winograd(free)
        assert by_winograd(fixed)
        np.testing.assert_array_equal(free(x)[0], fixed(x)[0])


def test_targets_have_the_same_bits():
    proto, x = conv((1, 40, 9, 13), drawn(72, 40)), RNG(2).normal(size=(1, 40, 9, 13))
    x = x.astype(np.float32)
    here, there = (quake_tvm.compile(proto, on)(x)[0] for on in ("native", "x86-64-v3"))
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values_reach_what_reads_them(value):
    proto = conv((1, 16, 8, 8), drawn(16, 16))
    plain, fast = (quake_tvm.compile(proto, winograd=on) for on in (False, True))
    x = RNG(2).normal(size=(1, 16, 8, 8)).astype(np.float32)
    usual = fast(x)[0]
    x[0, 3, 4, 5] = value
    right, found = plain(x)[0], fast(x)[0]
    reads = ~np.isfinite(right)
    assert not np.isfinite(found[reads]).any()
    np.testing.assert_array_equal(found[~reads], usual[~reads])
    infinite = np.isinf(found)
    np.testing.assert_array_equal(found[infinite], right[infinite])
    if np.isnan(value):
        assert np.isnan(found[reads]).all()
