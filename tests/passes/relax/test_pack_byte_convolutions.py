"""Convolutions of bytes with channels last become products of groups of channels."""

from functools import partial

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.kernels.byte_products import group_term
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.passes.relax.pack_byte_convolutions import PackByteConvolutions
from quake_tvm.passes.relax.pack_byte_weights import of_groups
from quake_tvm.passes.relax.pack_convolutions import Window, packed_convolution
from quake_tvm.passes.relax.pack_weights import packed_matmul
from quake_tvm.tvm_version import tir
from tests.helpers import module, once, run

W = np.random.default_rng(0).integers(-127, 128, (16, 3, 2, 5)).astype(np.int8)
X = (1, 6, 7, 5)
SQUARE = np.ones((9, 6, 2, 2), np.int8)  # for X with channels first
op, nn = relax.op, relax.op.nn
by_format = pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])


def panels_of_8(key, _):
    assert key.dtype == "int32"
    return 8 if key["columns"] >= 8 else None


def conv(x, w, dtype="int32", **options):
    layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_layout": "NHWC"}
    return nn.conv2d(x, relax.const(w), out_dtype=dtype, **layouts, **options)


def pack(mod, form=FORMATS[0]):
    return PackByteConvolutions(panels_of_8, [form])(mod)


def expected(x, form, window, around):
    """The legalized convolution of W whose results have 4 x 6 pixels."""
    rows = form.grouped_rows(np.moveaxis(W, -1, 0))  # (i/group, o, 3, 2)
    weights = rows.transpose(2, 3, 0, 1).reshape(3, 2, -1, 2, 8).transpose(3, 0, 1, 2, 4)
    function = partial(
        packed_convolution,
        pixels=[tir.const(4, "int64"), tir.const(6, "int64")],
        channels=16,
        window=window,
        term=partial(group_term, form),
        around=around,
    )
    packed = np.ascontiguousarray(weights)
    builder = relax.BlockBuilder.current()
    return of_groups(builder, form, x, function, packed, W.sum((1, 2, 3), np.int32))


@by_format
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_window(dtype, form):
    mod = module(lambda x: conv(x, W), X, dtype=dtype)
    window = Window((3, 2), (1, 1), (1, 1), (0, 0), (0, 0))
    around = form.group_of(form.shift(dtype))
    wanted = module(lambda x: expected(x, form, window, around), X, dtype=dtype)
    tvm.ir.assert_structural_equal(pack(mod, form), wanted)


@by_format
def test_a_pad_becomes_part_of_the_window(form):
    def before(x):
        padded = once(nn.pad(x, [0, 0, 1, 0, 0, 1, 0, 0], pad_value=3))
        return conv(padded, W)

    window = Window((3, 2), (1, 1), (1, 1), (1, 0), (0, 1))
    around = form.group_of(3 + form.shift("uint8"))
    small = (1, 5, 6, 5)
    wanted = module(lambda x: expected(x, form, window, around), small, dtype="uint8")
    after = pack(module(before, small, dtype="uint8"), form)
    after = relax.transform.DeadCodeElimination()(after)
    tvm.ir.assert_structural_equal(after, wanted)


def test_one_pixel_is_a_matrix_product():
    w, form = W[:, :1, :1], FORMATS[0]

    def wanted(x):
        packed = form.grouped_rows(w[:, 0, 0].T).reshape(2, 2, 8).transpose(1, 0, 2)
        function = partial(packed_matmul, columns=16, term=partial(group_term, form))
        builder, sums = relax.BlockBuilder.current(), w.sum((1, 2, 3), np.int32)
        return of_groups(builder, form, x, function, np.ascontiguousarray(packed), sums)

    mod = module(lambda x: conv(x, w), X, dtype="int8")
    tvm.ir.assert_structural_equal(pack(mod), module(wanted, X, dtype="int8"))


@by_format
@pytest.mark.parametrize("inside", [4, 6], ids=["whole_groups_of_bytes", "others"])
def test_groups_of_channels(inside, form):
    """Each group's channels are bytes of their own groups; the sums are those of integers."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (1, 6, 7, 3 * inside)).astype(np.uint8)
    w = rng.integers(-127, 128, (24, 3, 2, inside)).astype(np.int8)
    mod = pack(module(lambda x: conv(x, w, groups=3), x.shape, dtype="uint8"), form)
    views = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.int64), (3, 2), (0, 1))
    split = views.reshape(4, 6, 3, inside, 3, 2)
    wanted = np.einsum("yxgiab,goabi->yxgo", split, w.reshape(3, 8, 3, 2, inside))
    np.testing.assert_array_equal(run(mod, x), wanted.reshape(1, 4, 6, 24))


@pytest.mark.parametrize(
    ("formula", "dtype"),
    [
        (lambda x: conv(x, W.astype("float32"), ""), "float32"),
        (lambda x: conv(x, W[:3]), "uint8"),
        (
            lambda x: nn.conv2d(x, relax.const(np.ones((9, 6, 2, 2), "int8")), out_dtype="int32"),
            "uint8",
        ),
    ],
    ids=["float32", "no_panel_fits", "channels_first"],
)
def test_everything_else_stays(formula, dtype):
    mod = module(formula, X, dtype=dtype)
    tvm.ir.assert_structural_equal(pack(mod), mod)
