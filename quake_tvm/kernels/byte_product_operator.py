"""The operator ``quake.byte_product`` in Relax: rows of floats times constant int8 weights.

Importers write it and a pass lowers it. Each row becomes bytes with a scale and a zero point of its
own when the model runs. Its operands are the rows, float32 (.., k), the weights, int8 (k, n), and
what the sum of a column is multiplied by, float32 (n,).
"""

import tvm
from tvm import relax

from ..tvm_version import make_attrs, register_op

BYTE_PRODUCT = "quake.byte_product"


def byte_product(x: relax.Expr, weights: relax.Expr, factors: relax.Expr) -> relax.Call:
    """A call of the operator."""
    return relax.Call(tvm.ir.Op.get(BYTE_PRODUCT), [x, weights, factors], make_attrs())


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    *outer, _depth = call.args[0].ty.shape
    return relax.TensorType([*outer, call.args[1].ty.shape[1]], "float32")


if BYTE_PRODUCT not in tvm.ir.Op.list_op_names():
    register_op(BYTE_PRODUCT, "rows of floats times int8 weights")
    tvm.ir.register_op_attr(BYTE_PRODUCT, "FInferType", _infer_type)
    tvm.ir.register_op_attr(BYTE_PRODUCT, "FPurity", True)
