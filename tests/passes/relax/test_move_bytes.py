"""Quantizations in front of moves, where they cancel with dequantizations or become rescalings."""

import pytest
import tvm
from tvm import relax

from quake_tvm.passes.relax.move_bytes import MoveBytes
from tests.helpers import c, module, once

op, nn = relax.op, relax.op.nn


def real(x, scale=0.1, zero=3):
    return once(op.dequantize(x, c(scale), c(zero, "uint8")))


def quantized(x, scale=0.1, zero=3):
    return once(op.quantize(once(x), c(scale), c(zero, "uint8"), out_dtype="uint8"))


MOVES = {
    "reshape": lambda x: op.reshape(x, (1, 16, 4)),
    "transpose": lambda x: op.permute_dims(x, (0, 2, 3, 1)),
    "slice": lambda x: op.strided_slice(x, [2], [0], [3], [2]),
    "pool": lambda x: nn.max_pool2d(x, (2, 2), (2, 2), (1, 1)),
    "twice": lambda x: op.reshape(once(op.permute_dims(x, (0, 3, 2, 1))), (4, 16)),
}


def check(before, after):
    mods = (module(formula, (1, 4, 4, 4), dtype="uint8") for formula in (before, after))
    renamed = relax.transform.CanonicalizeBindings()  # a quantization may become its operand
    found, wanted = MoveBytes()(next(mods)), next(mods)
    tvm.ir.assert_structural_equal(renamed(found), renamed(wanted))


@pytest.mark.parametrize("name", MOVES)
def test_equal_scales_cancel(name):
    check(lambda x: quantized(MOVES[name](real(x))), MOVES[name])


@pytest.mark.parametrize("name", MOVES)
def test_a_factor_cancels(name):
    """torch multiplies by the reciprocal of a scale."""
    check(lambda x: quantized(op.multiply(once(MOVES[name](real(x))), c(10.0)), 1.0), MOVES[name])


def test_another_factor_comes_first():
    move = MOVES["reshape"]
    check(
        lambda x: quantized(op.multiply(once(move(real(x))), c(4.0)), 1.0),
        lambda x: move(quantized(op.multiply(real(x), c(4.0)), 1.0)),
    )


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_such_factors_stay(factor):
    def formula(x):
        return quantized(op.multiply(once(MOVES["pool"](real(x))), c(factor)), 1.0)

    check(formula, formula)


@pytest.mark.parametrize("name", MOVES)
def test_other_scales_come_first(name):
    check(
        lambda x: quantized(MOVES[name](real(x)), 0.2),
        lambda x: MOVES[name](quantized(real(x), 0.2)),
    )


def test_fewer_axes():
    """The quantization's axis, which counts for nothing, may be beyond those of its operand."""

    def last(x, axis):
        return once(op.quantize(x, c(0.2), c(3, "uint8"), axis=axis, out_dtype="uint8"))

    def before(x):
        return last(once(op.expand_dims(real(x), 0)), 1)

    def after(x):
        return op.expand_dims(last(real(x), -1), 0)

    found, wanted = (module(formula, (5,), dtype="uint8") for formula in (before, after))
    renamed = relax.transform.CanonicalizeBindings()
    tvm.ir.assert_structural_equal(renamed(MoveBytes()(found)), renamed(wanted))


def test_concatenation():
    def before(x):
        return quantized(op.concat([real(x), real(x, 0.3)], 1))

    def after(x):
        return op.concat([x, quantized(real(x, 0.3))], 1)

    check(before, after)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: op.reshape(real(x), (64,)),
        lambda x: quantized(nn.avg_pool2d(real(x), (2, 2))),
        lambda x: quantized(nn.max_pool2d(real(x), (2, 2)), -0.1),
        lambda x: quantized(op.reshape(once(op.astype(x, "float32")), (64,))),
    ],
)
def test_others_stay(formula):
    check(formula, formula)
