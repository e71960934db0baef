"""ONNX's ConstantOfShape with a shape computed from data or extents, which TVM cannot convert."""

import numpy as np
from onnx import numpy_helper
from tvm import relax, tirx

from ...kernels.size_check import Need, held
from .node import Node


def constant_of_shape(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert ConstantOfShape. Constant shapes are left to TVM's importer.

    Raises
    ------
    QuakeError
        For a shape of an unknown number of dimensions.
    """
    sizes = node.numbers(0)
    if sizes is not None and all(isinstance(n, int) for n in sizes):
        return None
    value = node.attributes.get("value")
    array = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    filling = relax.const(array.reshape(()), str(array.dtype))
    if sizes is not None:
        unsure = [(0, n) for n in sizes if not node.extents.proves(n >= 0)]
        need = Need(unsure, node.operator, "a negative size")
        filling = held(builder, filling, [need])
        return relax.op.full(relax.ShapeExpr(sizes), filling, str(array.dtype))
    (rank,) = node.shape()
    if not isinstance(rank, int):
        raise node.refuse("a shape of an unknown number of dimensions")
    sizes = [tirx.Var(f"size_{k}", "int64") for k in range(rank)]
    shape = builder.emit(relax.op.tensor_to_shape(node.inputs[0]))
    builder.match_cast(shape, relax.ShapeType(sizes))
    return relax.op.full(relax.ShapeExpr(sizes), filling, str(array.dtype))
