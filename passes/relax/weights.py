"""Constant operands that kernels can widen as they read them: weights of products, and tables.

Such an operand may be float16 or bfloat16 where the others, and the result, are float32.
"""

from collections.abc import Sequence

from tvm import relax
from tvm.ir.expr import GenericConst

from quake_tvm.numerics.number_formats import COMPUTED, FORMATS

from .graph import op_name, with_attributes

# Looks up rows of a table. The result has the table's type.
TABLE = "relax.take"
_WEIGHTS = {
    "relax.matmul": 1,
    "relax.nn.conv1d": 1,
    "relax.nn.conv2d": 1,
    "relax.nn.conv3d": 1,
    "relax.nn.conv1d_transpose": 1,
    "relax.nn.conv2d_transpose": 1,
    TABLE: 0,
}
PRODUCTS = tuple(name for name in _WEIGHTS if name != TABLE)


def weights_of(call: relax.Call) -> GenericConst | None:
    """A call's operand that may be in half precision; None if it has no such constant."""
    position = _WEIGHTS.get(op_name(call))
    operand = None if position is None else call.args[position]
    return operand if isinstance(operand, GenericConst) else None


def computed_in_float32(call: relax.Call) -> bool:
    """Whether a product's result and left operand are float32, and its weights of any format."""
    x, weights = call.args
    return str(x.ty.dtype) == str(call.ty.dtype) == COMPUTED and str(weights.ty.dtype) in FORMATS


def product(call: relax.Call, args: Sequence[relax.Expr]) -> relax.Call:
    """The same product of other operands, with a float32 result."""
    attributes = with_attributes(call.attrs, out_dtype=COMPUTED)
    return relax.Call(call.op, args, attributes, call.ty_args, call.span)
