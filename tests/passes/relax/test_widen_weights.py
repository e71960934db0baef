"""Weights in half precision become float32 if no kernel widens them, and all kernels agree."""

import ml_dtypes
import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.machines.targets import target, widened_in_loops
from quake_tvm.passes.relax.widen_weights import WidenWeights
from tests.helpers import module, once

op, nn = relax.op, relax.op.nn
RNG = np.random.default_rng(0)
HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def test_a_batch_of_weights():
    w = RNG.normal(size=(2, 24, 8)).astype(np.float16)

    def before(x):
        return op.matmul(x, relax.const(w), out_dtype="float32")

    def expected(x):
        return op.matmul(x, relax.const(w.astype(np.float32)), out_dtype="float32")

    shape = (2, 5, 24)
    tvm.ir.assert_structural_equal(WidenWeights()(module(before, shape)), module(expected, shape))


def test_what_targets_widen():
    assert widened_in_loops(target("x86-64-v3")) == {"float16", "bfloat16"}
    assert widened_in_loops(target("x86-64-v2")) == {"bfloat16"}
    assert widened_in_loops(target("aarch64")) == {"float16", "bfloat16"}


def weights(*shape):
    """Numbers of every size that both formats have, subnormal ones included."""
    scale = 2.0 ** RNG.integers(-20, 2, shape)
    return (RNG.normal(size=shape) * scale).astype(np.float32)


# (weights, shape of x, operator). Rows that do not fill a tile, odd sizes, one column.
PRODUCTS = [
    (weights(24, 96), (7, 24), op.matmul),
    (weights(31, 50), (33, 31), op.matmul),
    (weights(5, 1), (1, 5), op.matmul),
    (weights(2, 9, 17), (2, 3, 9), op.matmul),
    (weights(32, 3, 3, 3), (1, 3, 9, 11), nn.conv2d),
    (weights(40, 16, 1, 1), (1, 16, 5, 5), nn.conv2d),
    (weights(8, 32, 2, 2), (1, 8, 5, 4), lambda x, w: nn.conv2d_transpose(x, w, strides=(2, 2))),
    (weights(32, 1, 3, 3), (1, 32, 9, 9), lambda x, w: nn.conv2d(x, w, groups=32)),
    (weights(32, 8, 3, 3), (1, 16, 9, 9), lambda x, w: nn.conv2d(x, w, groups=2)),
]


@pytest.mark.parametrize("name", ["native", "x86-64-v2"])
@pytest.mark.parametrize("dtype", HALVES)
def test_the_bits_are_those_of_widened_weights(dtype, name):
    table = weights(99, 17).astype(HALVES[dtype])
    narrow = [w.astype(HALVES[dtype]) for w, _, _ in PRODUCTS]
    inputs = [RNG.normal(size=shape).astype(HALVES[dtype]) for _, shape, _ in PRODUCTS]
    index = RNG.integers(0, 99, (3, 4))

    def outputs(convert, widen):
        def formula(*xs):
            results = [
                operator(once(widen(x)), relax.const(convert(w)))
                for x, w, (_, _, operator) in zip(xs, narrow, PRODUCTS, strict=True)
            ]
            return (*results, op.take(relax.const(convert(table)), relax.const(index), axis=0))

        return module(formula, *(x.shape for x in inputs), dtype=dtype)

    half = outputs(lambda w: w, lambda x: x)
    wide = outputs(lambda w: w.astype(np.float32), lambda x: op.astype(x, "float32"))
    found = quake_tvm.compile(half, name).run(inputs)
    wanted = quake_tvm.compile(wide, name).run(inputs)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == HALVES[dtype]
        np.testing.assert_array_equal(a, b.astype(a.dtype))


@pytest.mark.parametrize("dtype", HALVES)
def test_weights_take_half_the_memory(dtype, tmp_path):
    w, shape = weights(512, 512), (4, 512)

    def size(values):
        mod = module(lambda x: op.matmul(x, relax.const(values)), shape, dtype=str(values.dtype))
        return quake_tvm.compile(mod).export(tmp_path / "model.so").stat().st_size

    saved = size(w) - size(w.astype(HALVES[dtype]))
    assert abs(saved - w.nbytes / 2) < 30_000
