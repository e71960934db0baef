"""Legalizations of quantize, dequantize and clip to the element-wise operators they consist of.

TVM's ConvertLayout moves transposes over these, and not over quantize, dequantize and clip.
"""

import numpy as np
import tvm
from tvm import relax

from .graph import dtype
from .legalize import Legalize
from .number_within import number_within

_BYTES = ("int8", "uint8")


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, scale, zero = call.args
    kind = str(call.attrs.out_dtype)
    if kind not in _BYTES or dtype(x) != "float32" or dtype(scale) != "float32":
        return call
    if not (_spreads(scale) and _spreads(zero)):
        return call
    value = x
    if not _all(scale, 1):
        value = builder.emit(relax.op.divide(x, _along(builder, scale, call, "float32")))
    value = builder.emit(relax.op.round(value))
    if not _all(zero, 0):
        value = builder.emit(relax.op.add(value, _along(builder, zero, call, "float32")))
    least, greatest = np.iinfo(kind).min, np.iinfo(kind).max
    inside = builder.emit(number_within(value, float(least), float(greatest)))
    return relax.op.astype(inside, kind)


def _dequantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, scale, zero = call.args
    if dtype(x) not in _BYTES or str(call.attrs.out_dtype) != "float32":
        return call
    if not (_spreads(scale) and _spreads(zero)):
        return call
    value = builder.emit(relax.op.astype(x, "int32"))
    if not _all(zero, 0):
        value = builder.emit(relax.op.subtract(value, _along(builder, zero, call, "int32")))
    real = builder.emit(relax.op.astype(value, "float32"))
    return relax.op.multiply(real, _along(builder, scale, call, "float32"))


def _clip(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, *limits = call.args
    if not all(hasattr(limit, "value") for limit in limits):
        return call
    low, high = (limit.value for limit in limits)
    return _between(builder, x, low, high)


def _between(builder: relax.BlockBuilder, x: relax.Expr, low: float, high: float) -> relax.Expr:
    below = builder.emit(relax.op.minimum(x, relax.const(high, dtype(x))))
    return relax.op.maximum(below, relax.const(low, dtype(x)))


def _spreads(values: relax.Expr) -> bool:
    """Whether parameters are constants, or one computed number, as dynamic quantization has."""
    return isinstance(values, tvm.ir.GenericConst) or values.ty.ndim == 0


def _all(values: relax.Expr, number: int) -> bool:
    """Whether parameters are constants that all equal a number."""
    return isinstance(values, tvm.ir.GenericConst) and bool((values.value.numpy() == number).all())


def _along(
    builder: relax.BlockBuilder, values: relax.Expr, call: relax.Call, kind: str
) -> relax.Expr:
    """Parameters of another type, so that they broadcast to the tensor."""
    if not isinstance(values, tvm.ir.GenericConst):
        return values if dtype(values) == kind else builder.emit(relax.op.astype(values, kind))
    array, rank = values.value.numpy().astype(kind), call.ty.ndim
    if array.size == 1:
        return relax.const(array.reshape(()))
    axis = int(call.attrs.axis) % rank
    return relax.const(array.reshape([1] * axis + [-1] + [1] * (rank - axis - 1)))


RULES: dict[str, Legalize] = {
    "relax.quantize": _quantize,
    "relax.dequantize": _dequantize,
    "relax.clip": _clip,
}
