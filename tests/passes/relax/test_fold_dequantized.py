"""Dequantizations of constants are computed as they are defined."""

import numpy as np
import pytest
from tvm import relax

from quake_tvm.passes.relax.fold_dequantized import FoldDequantized
from quake_tvm.passes.relax.graph import Graph, op_name
from tests.helpers import module, once

op = relax.op
X = np.arange(-6, 6).reshape(3, 4)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32"])
@pytest.mark.parametrize(("axis", "count"), [(0, 3), (1, 4), (-1, 4), (1, 1)])
def test_constants(kind, axis, count):
    x = (X & 255).astype(kind) if kind == "uint8" else X.astype(kind)
    scale = np.linspace(0.1, 0.7, count).astype(np.float32)
    zero = np.arange(count).astype(kind)

    def formula(y):
        real = op.dequantize(*map(relax.const, (x, scale, zero)), axis=axis)
        return op.add(y, once(op.reshape(once(real), (4, 3))))

    folded = Graph(FoldDequantized()(module(formula, (4, 3)))["main"]).values.values()
    (call,) = (value for value in folded if isinstance(value, relax.Call))
    along = (-1, 1) if axis == 0 else (1, -1)
    shifted = (x.astype(np.int64) - zero.reshape(along)).astype(np.float32)
    wanted = shifted * scale.reshape(along)
    np.testing.assert_array_equal(call.args[1].value.numpy(), wanted.reshape(4, 3))


def test_others_stay():
    def formula(x):
        return op.dequantize(x, relax.const(np.float32(0.1)), relax.const(3, "int8"))

    mod = FoldDequantized()(module(formula, (4, 3), dtype="int8"))
    assert "relax.dequantize" in map(op_name, Graph(mod["main"]).values.values())


@pytest.mark.parametrize("kind", ["int64", "float64", "int8"])
def test_reshapes_of_constants_keep_the_type(kind):
    def formula(x):
        real = once(op.dequantize(x, relax.const(np.float32(0.1)), relax.const(3, "int8")))
        given = once(op.reshape(relax.const(X.astype(kind), kind), (4, 3)))
        return op.add(real, once(op.astype(given, "float32")))

    mod = FoldDequantized()(module(formula, (4, 3), dtype="int8"))
    (cast,) = (v for v in Graph(mod["main"]).values.values() if op_name(v) == "relax.astype")
    assert str(cast.args[0].ty.dtype) == kind
