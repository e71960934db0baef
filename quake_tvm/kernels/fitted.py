"""The operator ``quake.fitted``: a tensor whose extents are written as equal ones.

What makes the extents equal is checked elsewhere, when the model runs. TVM sees only from equal
expressions that two shapes are equal. The tensor's axes may be in any order, so that transposes
move over the operator, and it becomes a view. Knows no operator of a model.
"""

from collections.abc import Sequence

import tvm
import tvm_ffi
from tvm import relax

from ..tvm_version import make_attrs, register_op, tir

FITTED = "quake.fitted"


def _renamed(
    shape: Sequence[tir.Expr], before: Sequence[tir.Expr], after: Sequence[tir.Expr]
) -> list[tir.Expr]:
    """The shape with each extent that equals one of ``before`` as the one of ``after``."""
    analyzer = tvm.sym.Analyzer()

    def renamed(extent: tir.Expr) -> tir.Expr:
        pairs = zip(before, after, strict=True)
        return next((new for old, new in pairs if analyzer.can_prove_equal(old, extent)), extent)

    return [renamed(extent) for extent in shape]


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    x, before, after = call.args
    if x.ty.shape is None:
        return x.ty
    return relax.TensorType(_renamed(x.ty.shape, before.values, after.values), x.ty.dtype)


def _view(_: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    return relax.op.reshape(call.args[0], call.ty.shape)


if FITTED not in tvm.ir.Op.list_op_names():
    register_op(FITTED, "A tensor whose extents are written as equal ones.")
    tvm.ir.register_op_attr(FITTED, "FInferType", _infer_type)
    tvm.ir.register_op_attr(FITTED, "FPurity", True)
    tvm.ir.register_op_attr(FITTED, "FLegalize", _view)


def fitted(x: relax.Expr, shape: Sequence[tir.Expr]) -> relax.Call:
    """The tensor with these extents, as a call of the operator.

    If two axes have one extent that is written in two ways, the order of the axes matters. Then it
    is a reshape.

    Parameters
    ----------
    x : Expr
        Of known shape.
    shape : sequence of Expr
        For each axis an extent that is equal when the model runs.
    """
    before, after = x.ty.shape, relax.ShapeExpr(shape)
    renamed = relax.ShapeExpr(_renamed(before, before, after.values))
    if not tvm_ffi.structural_equal(renamed, after):
        return relax.op.reshape(x, after)
    return relax.Call(tvm.ir.Op.get(FITTED), [x, before, after], make_attrs())
