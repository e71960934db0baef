"""Weights of products and large tables are rounded to half precision, others stay."""

import tracemalloc

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.narrow_weights import NarrowWeights
from tests.helpers import module, once

op, nn = relax.op, relax.op.nn
RNG = np.random.default_rng(0)
W = RNG.normal(size=(24, 96)).astype(np.float32)
FILTERS = RNG.normal(size=(32, 24, 3, 3)).astype(np.float32)
TABLE = RNG.normal(size=(1 << 16, 16)).astype(np.float32)
HALVES = ["float16", "bfloat16"]


def constant(values, dtype):
    return relax.const(values.astype(dtype))


def product(x, w):
    return op.matmul(x, w, out_dtype="float32")


def assert_becomes(before, expected, dtype, *shapes, inputs="float32"):
    found = NarrowWeights(dtype)(module(before, *shapes, dtype=inputs))
    tvm.ir.assert_structural_equal(found, module(expected, *shapes, dtype=inputs))


@pytest.mark.parametrize("dtype", HALVES)
def test_products(dtype):
    assert_becomes(
        lambda x: op.matmul(x, relax.const(W)),
        lambda x: product(x, constant(W, dtype)),
        dtype,
        (5, 24),
    )
    assert_becomes(
        lambda x: nn.conv2d(x, relax.const(FILTERS)),
        lambda x: nn.conv2d(x, constant(FILTERS, dtype), out_dtype="float32"),
        dtype,
        (1, 24, 9, 9),
    )


@pytest.mark.parametrize("dtype", HALVES)
def test_a_large_table(dtype):
    assert_becomes(
        lambda i: op.take(relax.const(TABLE), i, axis=0),
        lambda i: op.astype(once(op.take(constant(TABLE, dtype), i, axis=0)), "float32"),
        dtype,
        (5,),
        inputs="int64",
    )


def test_memory():
    """A large table has one copy in float32 while it is rounded, and the rounded one."""
    mod = module(lambda i: op.take(relax.const(TABLE), i, axis=0), (5,), dtype="int64")
    tracemalloc.start()
    NarrowWeights("bfloat16")(mod)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * TABLE.nbytes


@pytest.mark.parametrize(
    ("formula", "shape", "inputs"),
    [
        (lambda x: op.matmul(relax.const(W), x), (96, 5), "float32"),
        (lambda i: op.take(relax.const(TABLE[:99]), i, axis=0), (5,), "int64"),
        (lambda x: nn.conv2d(x, relax.const(FILTERS[:, :1]), groups=32), (1, 32, 9, 9), "float32"),
        (lambda x: nn.conv2d(x, relax.const(FILTERS[:, :1])), (1, 1, 9, 9), "float32"),
        (lambda x: op.matmul(x, relax.const(W, "float64")), (5, 24), "float64"),
    ],
    ids=["no_weights", "small_table", "groups", "one_channel", "float64"],
)
def test_others_stay(formula, shape, inputs):
    for dtype in ("float32", *HALVES):
        assert_becomes(formula, formula, dtype, shape, inputs=inputs)


def test_weights_that_the_format_cannot_hold_stay():
    for values in (W * np.float32(1e5), W * np.float32(1e-7), W * np.float32(np.nan)):

        def formula(x, values=values):
            return op.matmul(x, relax.const(values))

        assert_becomes(formula, formula, "float16", (5, 24))
    tiny = W * np.float32(1e-7)
    assert_becomes(
        lambda x: op.matmul(x, relax.const(tiny)),
        lambda x: product(x, constant(tiny, "bfloat16")),
        "bfloat16",
        (5, 24),
    )


def test_half_weights_of_another_format():
    assert_becomes(
        lambda x: product(x, constant(W, "float16")),
        lambda x: product(x, constant(W.astype(np.float16), "bfloat16")),
        "bfloat16",
        (5, 24),
    )


def test_float16_weights_in_a_float32_model():
    x = RNG.normal(size=(5, 24)).astype(np.float32)

    def formula(x, w=W):
        return nn.gelu(once(op.matmul(x, relax.const(w))))

    (found,) = quake_tvm.compile(module(formula, x.shape), precision="float16").run(x)
    rounded = W.astype(np.float16).astype(np.float32)
    (wanted,) = quake_tvm.compile(module(lambda x: formula(x, rounded), x.shape)).run(x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)
