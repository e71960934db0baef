"""Norms over the last axes, of known or symbolic extents, are norms along rows."""

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.passes.relax.flatten_norms import FlattenNorms
from tests.helpers import module, once

A, B, C = (tirx.Var(name, "int64") for name in "abc")
op, nn = relax.op, relax.op.nn


def normed(x, weight, bias, axes):
    return nn.layer_norm(x, weight, bias, axes=axes, epsilon=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 4), (A, 3, 4), (A, B, C), (2, B, 4)])
def test_the_last_axes_are_one_row(shape):
    length = shape[1] * shape[2]

    def expected(x, weight, bias):
        rows = once(op.reshape(x, (shape[0], length)))
        weights = [once(op.reshape(each, (length,))) for each in (weight, bias)]
        return op.reshape(once(normed(rows, *weights, [-1])), shape)

    shapes = shape, shape[1:], shape[1:]
    before = module(lambda *args: normed(*args, [-2, -1]), *shapes)
    tvm.ir.assert_structural_equal(FlattenNorms()(before), module(expected, *shapes))


def test_one_axis_and_other_axes():
    shapes = (A, B, 4), (4,), (4,)
    last = module(lambda *args: normed(*args, [-1]), *shapes)
    tvm.ir.assert_structural_equal(FlattenNorms()(last), last)
    shapes = (A, B, 4), (A, 4), (A, 4)
    apart = FlattenNorms()(module(lambda *args: normed(*args, [0, 2]), *shapes))
    assert "layer_norm" not in apart.script()


def test_symbolic_extents_have_the_bits_of_constant_ones():
    def formula(*args):
        return once(normed(*args, [-2, -1])) + args[0]

    any_size = quake_tvm.compile(module(formula, (A, B, C), (B, C), (B, C)))
    rng = np.random.default_rng(0)
    for shape in ((2, 11, 17), (3, 5, 1), (1, 1, 1), (2, 0, 3), (0, 2, 3)):
        sizes = shape, shape[1:], shape[1:]
        arrays = [rng.normal(size=size).astype(np.float32) for size in sizes]
        (static,) = quake_tvm.compile(module(formula, *sizes)).run(arrays)
        np.testing.assert_array_equal(any_size.run(arrays)[0], static)


def test_weights_of_other_extents_end_the_run():
    shapes = (A, B, C), *[(tirx.Var("p", "int64"), tirx.Var("q", "int64"))] * 2
    model = quake_tvm.compile(module(lambda *args: normed(*args, [-2, -1]), *shapes))
    x = np.ones((2, 3, 4), np.float32)
    assert model.run([x, *[np.ones((3, 4), np.float32)] * 2])[0].shape == x.shape
    for sizes in ((4, 3), (2, 4), (1, 4), (30, 40)):
        with pytest.raises(QuakeError, match="the weights have other sizes than the axes"):
            model.run([x, *[np.ones(sizes, np.float32)] * 2])
