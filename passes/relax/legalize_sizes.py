"""Sizes as a tensor, in a kernel of its own.

The kernel takes the sizes as numbers. FuseOps passes a number on as a parameter of the fused
function, and other sizes of the function in a shape. FuseTIR fails if a function has both.
"""

from tvm import relax

from .graph import op_name
from .legalize import UNFUSABLE, Legalize


def _shape_to_tensor(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """TVM's kernel, which nothing is fused with."""
    made = call.op.get_attr("FLegalize")(builder, call)
    if op_name(made) == "relax.call_tir":
        kernel = made.args[0]
        builder.update_func(kernel, builder.get()[kernel].with_attrs(UNFUSABLE))
    return made


RULES: dict[str, Legalize] = {"relax.shape_to_tensor": _shape_to_tensor}
