"""Depthwise convolutions of bytes: the same sums in groups of taps and in float32."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.kernels.byte_depthwise import EXACT
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.passes.relax.pack_byte_depthwise import PackByteDepthwise
from quake_tvm.passes.relax.pack_convolutions import MANY
from quake_tvm.tvm_version import tir
from tests.helpers import module, once, run

RNG = np.random.default_rng(0)
op, nn = relax.op, relax.op.nn
by_format = pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])
# Window, stride, dilation.
WINDOWS = [
    ((3, 3), 1, 1),
    ((5, 5), 1, 1),
    ((5, 5), 2, 1),
    ((2, 7), 3, 1),
    ((3, 5), 2, 3),
    ((1, 9), 2, 2),
]


def bytes_of(shape, dtype):
    """Random bytes, among which the least and the greatest are frequent."""
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.clip(RNG.integers(least - 60, greatest + 61, shape), least, greatest).astype(dtype)


def conv(x, w, **options):
    layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_layout": "NHWC"}
    options = {"groups": len(w), "out_dtype": "int32", **options}
    return nn.conv2d(x, relax.const(w), **layouts, **options)


def summed(x, w, stride, dilation):
    """The sums of x, of shape (1, h, w, c), with w of shape (c, taps, taps, 1)."""
    reach = [(n - 1) * dilation + 1 for n in w.shape[1:3]]
    views = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.int64), reach, (0, 1))
    seen = views[::stride, ::stride, :, ::dilation, ::dilation]
    return np.einsum("yxcij,cij->yxc", seen, w[..., 0])[None]


@by_format
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(("size", "stride", "dilation"), WINDOWS)
def test_sums(size, stride, dilation, dtype, form):
    x, w = bytes_of((1, 13, 24, 3), dtype), bytes_of((3, *size, 1), "int8")

    def formula(x):
        padded = once(nn.pad(x, [0, 0, 1, 2, 2, 0, 0, 0], pad_value=9))
        return conv(padded, w, strides=stride, dilation=dilation)

    mod = PackByteDepthwise([form])(module(formula, x.shape, dtype=dtype))
    around = np.pad(x, [(0, 0), (1, 2), (2, 0), (0, 0)], constant_values=9)
    np.testing.assert_array_equal(run(mod, x), summed(around, w, stride, dilation))


@by_format
@pytest.mark.parametrize("filters", [2, 3, MANY - 1])
def test_a_channel_with_a_few_filters_is_repeated(filters, form):
    x, w = bytes_of((1, 9, 10, 4), "uint8"), bytes_of((4 * filters, 3, 3, 1), "int8")
    pixels = (tir.Var("h", "int64"), tir.Var("w", "int64"))
    mod = PackByteDepthwise([form])(
        module(lambda x: conv(x, w, groups=4), (1, *pixels, 4), dtype="uint8")
    )
    assert "conv2d" not in mod.script()
    np.testing.assert_array_equal(run(mod, x), summed(np.repeat(x, filters, -1), w, 1, 1))


@pytest.mark.parametrize(
    ("formula", "channels"),
    [
        (lambda x: conv(x, bytes_of((8, 3, 3, 2), "int8"), groups=4), 8),
        (lambda x: conv(x, bytes_of((4 * MANY, 3, 3, 1), "int8"), groups=4), 4),
        (lambda x: conv(x, bytes_of((4, EXACT + 1, 1, 1), "int8"), padding=EXACT), 4),
    ],
    ids=["groups_of_channels", "many_filters_for_a_channel", "not_exact_in_float32"],
)
def test_everything_else_stays(formula, channels):
    mod = module(formula, (1, 6, 7, channels), dtype="uint8")
    tvm.ir.assert_structural_equal(PackByteDepthwise([FORMATS[-1]])(mod), mod)
