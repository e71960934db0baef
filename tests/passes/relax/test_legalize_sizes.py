"""Sizes that become tensors."""

import numpy as np
from tvm import relax

import quake_tvm
from quake_tvm.tvm_version import tir

op = relax.op


def test_a_size_beside_another_extent():
    """The places of new tokens after those of the past, as decoders count them."""
    builder = relax.BlockBuilder()
    past, new = tir.Var("past", "int64"), tir.Var("new", "int64")
    x, y = (
        relax.Var(name, relax.TensorType((n,), "float32")) for name, n in (("x", past), ("y", new))
    )
    with builder.function("main", [x, y]):
        with builder.dataflow():
            number = builder.emit(op.squeeze(op.shape_to_tensor(relax.ShapeExpr([past])), [0]))
            places = builder.emit(op.add(builder.emit(op.arange(0, new, 1, "int64")), number))
            result = builder.emit_output(places)
        builder.emit_func_output(result)
    model = quake_tvm.compile(builder.get(), method="exact")
    for before, after in ((3, 4), (0, 1), (7, 0)):
        (places,) = model.run([np.zeros(before, "f4"), np.zeros(after, "f4")])
        np.testing.assert_array_equal(places, np.arange(before, before + after))


def test_several_sizes():
    builder = relax.BlockBuilder()
    rows, columns = tir.Var("rows", "int64"), tir.Var("columns", "int64")
    x = relax.Var("x", relax.TensorType((rows, columns), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            sizes = op.shape_to_tensor(relax.ShapeExpr([columns, tir.IntImm("int64", 5), rows * 2]))
            result = builder.emit_output(op.add(builder.emit(sizes), relax.const(1, "int64")))
        builder.emit_func_output(result)
    model = quake_tvm.compile(builder.get(), method="exact")
    assert model.run([np.zeros((3, 4), "f4")])[0].tolist() == [5, 6, 7]
