"""ONNX's ConstantOfShape with a shape computed from data, which TVM's importer cannot convert."""

import numpy as np
import tvm
from onnx import numpy_helper
from tvm import relax, tirx

from .importer import Node


def constant_of_shape(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert ConstantOfShape. Known shapes are left to TVM's importer.

    Raises
    ------
    QuakeError
        For a shape of an unknown number of dimensions.
    """
    wanted = node.inputs[0]
    if isinstance(wanted, tvm.ir.GenericConst | relax.ShapeExpr):
        return None
    (rank,) = node.shape()
    if not isinstance(rank, int):
        raise node.refuse("a shape of an unknown number of dimensions")
    value = node.attributes.get("value")
    array = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    sizes = [tirx.Var(f"size_{k}", "int64") for k in range(rank)]
    shape = builder.emit(relax.op.tensor_to_shape(wanted))
    builder.match_cast(shape, relax.ShapeType(sizes))
    filling = relax.const(array.reshape(()), str(array.dtype))
    return relax.op.full(relax.ShapeExpr(sizes), filling, str(array.dtype))
