"""Convolutions along one dimension use the width axis."""

import numpy as np
import pytest
import tvm
from tvm import relay

from quake_tvm.passes.relay.turn_convolutions import TurnConvolutions

from .modules import build, module, run

Expr = relay.Expr


def turn(mod: tvm.IRModule) -> tvm.IRModule:
    with tvm.transform.PassContext(opt_level=3):
        return tvm.transform.Sequential([TurnConvolutions(), relay.transform.InferType()])(mod)


def weights(*shape: int) -> relay.Constant:
    return relay.const(np.random.default_rng(0).standard_normal(shape, dtype="float32"))


def along_height(x: Expr) -> Expr:
    return relay.nn.conv2d(
        x,
        weights(6, 2, 3, 1),
        strides=(2, 1),
        padding=(1, 0, 2, 0),
        dilation=(2, 1),
        groups=2,
        channels=6,
        kernel_size=(3, 1),
    )


def along_width(x: Expr) -> Expr:
    turned = relay.nn.conv2d(
        relay.reshape(x, (1, 4, 1, 20)),
        relay.reshape(weights(6, 2, 3, 1), (6, 2, 1, 3)),
        strides=(1, 2),
        padding=(0, 1, 0, 2),
        dilation=(1, 2),
        groups=2,
        channels=6,
        kernel_size=(1, 3),
    )
    return relay.reshape(turned, (1, 6, 10, 1))


def test_one_pixel_wide() -> None:
    shape = (1, 4, 20, 1)
    before = module(along_height, shape)
    after = turn(before)
    tvm.ir.assert_structural_equal(after, module(along_width, shape))
    x = np.random.default_rng(1).standard_normal(shape, dtype="float32")
    np.testing.assert_allclose(run(build(after), x), run(build(before), x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        (lambda x: relay.nn.conv2d(x, weights(6, 4, 3, 3)), (1, 4, 20, 20)),
        (lambda x: relay.nn.conv2d(x, weights(6, 4, 3, 3), padding=(1, 1)), (1, 4, 20, 1)),
        (lambda x: relay.nn.conv2d(x, weights(6, 4, 1, 3)), (1, 4, 1, 20)),
        (lambda x: relay.nn.conv2d(x, weights(6, 4, 1, 1)), (1, 4, 1, 1)),
        (lambda x: relay.nn.conv2d(x, weights(6, 4, 3, 1)), (1, 4, relay.Any(), 1)),
    ],
    ids=["an image", "a wide kernel", "one pixel high", "one pixel", "unknown length"],
)
def test_left_alone(formula, shape) -> None:
    mod = module(formula, shape)
    tvm.ir.assert_structural_equal(turn(mod), mod)
