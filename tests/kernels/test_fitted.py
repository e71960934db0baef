"""A tensor whose extents are written as equal ones: a view, over which transposes move."""

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

from quake_tvm.kernels.fitted import FITTED, fitted
from quake_tvm.passes.relax import legalize_reshape
from quake_tvm.passes.relax.channels_last import ChannelsLast
from tests.helpers import module, once, run

H, W = tirx.Var("h", "int64"), tirx.Var("w", "int64")


def halved(n):
    return (n + 1) // 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 2 * halved(H), W), (1, H, W)),
        ((2 * halved(H), 2 * halved(H)), (H, H)),
        ((1, H), (1, 3)),
    ],
)
def test_the_type_has_the_other_extents(before, after):
    def renamed(x):
        call = once(fitted(x, relax.ShapeExpr(after).values))
        assert call.ty.shape.values == relax.ShapeExpr(after).values
        return call

    mod = module(renamed, before)
    expected = module(lambda x: once(relax.op.reshape(x, relax.ShapeExpr(after))), before)
    assert FITTED in mod.script()
    legalized = relax.transform.LegalizeOps(legalize_reshape.RULES)(mod)
    tvm.ir.assert_structural_equal(legalized, expected)


@pytest.mark.parametrize("after", [(H, W), (H, 2 * halved(H))])
def test_one_extent_in_two_ways_needs_the_order_of_axes(after):
    def renamed(x):
        return fitted(x, relax.ShapeExpr(after).values)

    def expected(x):
        return relax.op.reshape(x, relax.ShapeExpr(after))

    shape = 2 * halved(H), 2 * halved(H)
    tvm.ir.assert_structural_equal(module(renamed, shape), module(expected, shape))


def test_values():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    mod = module(
        lambda x: fitted(x, relax.ShapeExpr((1, 2 * halved(W), 2 * halved(H))).values), (1, W, H)
    )
    np.testing.assert_array_equal(run(mod, np.resize(x, (1, 2, 4))), np.resize(x, (1, 2, 4)))


def test_transposes_move_over_it():
    ones = relax.const(np.ones((4, 4, 1, 1), np.float32))

    def between(x):
        inner = once(relax.op.nn.conv2d(x, ones))
        shape = relax.ShapeExpr((1, 4, H, 2 * halved(W))).values
        return relax.op.nn.conv2d(once(fitted(inner, shape)), ones)

    after = ChannelsLast(16)(module(between, (1, 4, 2 * halved(H), W)))
    assert after.script().count("permute_dims") == 2
