"""Moves of constants become constants. Moves of anything else stay."""

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax import op

from quake_tvm.passes.relax.fold_moves import FoldMoves
from quake_tvm.passes.relax.graph import Graph, op_name

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def module(body):
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((4, 3, 2), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(body(builder, x))
        builder.emit_func_output(out)
    return builder.get()


def folded(body):
    """The operators that are left, and the constants that are bound to a name."""
    values = list(Graph(FoldMoves()(module(body))["main"]).values.values())
    constants = [v.value.numpy() for v in values if isinstance(v, tvm.ir.GenericConst)]
    return [op_name(v) for v in values if isinstance(v, relax.Call)], constants


def test_transposes_and_reshapes_of_constants_are_constants():
    def body(builder, x):
        moved = builder.emit(op.permute_dims(relax.const(VALUES), [2, 1, 0]))
        moved = builder.emit(op.reshape(moved, (4, 6)))
        moved = builder.emit(op.expand_dims(moved, 2))
        moved = builder.emit(op.squeeze(moved, [2]))
        return op.add(x, builder.emit(op.reshape(moved, (4, 3, 2))))

    operators, (constant,) = folded(body)
    assert operators == ["relax.add"]
    np.testing.assert_array_equal(constant, VALUES.transpose(2, 1, 0))


def test_a_transpose_without_axes_reverses_them():
    operators, (constant,) = folded(
        lambda builder, x: op.add(x, builder.emit(op.permute_dims(relax.const(VALUES))))
    )
    assert operators == ["relax.add"]
    np.testing.assert_array_equal(constant, VALUES.T)


@pytest.mark.parametrize("dtype", ["int8", "bool", "float16", "int64"])
def test_types_stay(dtype):
    array = (VALUES > 3).astype(dtype)

    def body(builder, x):
        moved = builder.emit(op.permute_dims(relax.const(array, dtype), [2, 1, 0]))
        return op.add(x, builder.emit(op.astype(moved, "float32")))

    operators, (constant,) = folded(body)
    assert operators == ["relax.astype", "relax.add"]
    assert constant.dtype == dtype
    np.testing.assert_array_equal(constant, array.transpose(2, 1, 0))


def test_other_operators_and_operands_stay():
    def body(builder, x):
        moved = builder.emit(op.permute_dims(x, [2, 1, 0]))
        return op.add(moved, builder.emit(op.exp(relax.const(VALUES))))

    assert folded(body)[0] == ["relax.permute_dims", "relax.exp", "relax.add"]
