"""Register an operator of this library with Relax. Knows no operator."""

from collections.abc import Callable

import tvm
from tvm import relax

from quake_tvm.tvm_version import register_op

# Element-wise operators take any layout, as TVM's own do.
_LAYOUT, _ANY = "FRelaxInferLayout", "relax.sigmoid"


def declare(
    name: str,
    description: str,
    infer_type: Callable[[relax.Call, relax.BlockBuilder], relax.Type],
    elementwise: bool = True,
) -> None:
    """Register an operator without side effects, unless it is registered already.

    Parameters
    ----------
    name, description : str
    infer_type : callable
        The type of a call's result.
    elementwise : bool
        Whether each element of the result follows from one element of the operand.
    """
    if name in tvm.ir.Op.list_op_names():
        return
    register_op(name, description)
    tvm.ir.register_op_attr(name, "FInferType", infer_type)
    tvm.ir.register_op_attr(name, "FPurity", True)
    if elementwise:
        tvm.ir.register_op_attr(name, _LAYOUT, tvm.ir.Op.get(_ANY).get_attr(_LAYOUT))
