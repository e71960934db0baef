"""Transposed convolutions with few output channels, against ONNX Runtime and panels of channels."""

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from tests.helpers import module
from tests.passes.relax.onnx_convolutions import RNG, check

nn = relax.op.nn


@pytest.mark.parametrize(
    ("shape", "size", "channels", "options"),
    [
        ((1, 6, 9, 20), (2, 2), 1, {"strides": [2, 2]}),
        ((2, 5, 7, 33), (4, 4), 3, {"strides": [2, 2], "pads": [1] * 4}),
        ((1, 5, 6, 19), (3, 5), 7, {"strides": [3, 2], "output_padding": [1, 1]}),
        ((2, 5, 40), (16,), 1, {"strides": [8], "pads": [4, 4]}),
    ],
    ids=["mask", "image", "odd", "sound"],
)
def test_few_output_channels_have_vectors_of_pixels(shape, size, channels, options):
    for unknown in ((), (len(shape) - 1,)):
        kernels = check("ConvTranspose", shape, size, channels, unknown=unknown, **options)
        assert "fallback" not in kernels.values()


def test_few_output_channels_give_the_bits_of_panels():
    x = RNG(0).normal(size=(1, 5, 7, 33)).astype(np.float32)
    weights = RNG(1).normal(size=(5, 3, 4, 4)).astype(np.float32)
    mod = module(
        lambda x: nn.conv2d_transpose(x, relax.const(weights), strides=2, padding=1), x.shape
    )
    planes = quake_tvm.compile(mod)(x)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "quake_tvm.passes.relax.pack_transposed_convolutions.few", lambda *given: False
        )
        panels = quake_tvm.compile(mod)(x)[0]
    np.testing.assert_array_equal(planes.view(np.int32), panels.view(np.int32))
