"""Exclusive or of loaded, computed and broadcast truth values, in vector and scalar code."""

import numpy as np
from tvm import relax

import quake_tvm
from tests.helpers import c, module

op = relax.op


def test_values():
    x = np.random.default_rng(0).normal(size=(9, 33)).astype("float32")

    def formula(x):
        high, low = op.greater(x, c(0.5)), op.less(x, c(1.0))
        row = op.strided_slice(high, [0], [0], [1])
        return op.logical_xor(high, low), op.logical_xor(high, op.logical_xor(row, low))

    found = quake_tvm.compile(module(formula, x.shape), method="exact").run(x)
    high, low = x > 0.5, x < 1
    for y, wanted in zip(found, (high ^ low, high ^ high[:1] ^ low), strict=True):
        np.testing.assert_array_equal(y, wanted)


def test_loaded_beside_computed():
    """Both operands in one kernel: the form that LLVM rejected."""
    x = relax.Var("x", relax.TensorType((33,), "bool"))
    y = relax.Var("y", relax.TensorType((33,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, y]):
        with builder.dataflow():
            result = builder.emit_output(op.logical_xor(x, op.greater(y, c(0.0))))
        builder.emit_func_output(result)
    a = np.arange(33) % 3 == 0
    b = np.linspace(-1, 1, 33, dtype="float32")
    (found,) = quake_tvm.compile(builder.get(), method="exact").run(a, b)
    np.testing.assert_array_equal(found, a ^ (b > 0))
