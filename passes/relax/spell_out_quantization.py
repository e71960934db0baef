"""Legalizations of quantize, dequantize and clip to the element-wise operators they consist of.

TVM's ConvertLayout moves transposes over these, and not over quantize, dequantize and clip.
"""

import numpy as np
import tvm
from tvm import relax

from .graph import dtype
from .legalize import Legalize

_BYTES = ("int8", "uint8")


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, scale, zero = call.args
    kind = str(call.attrs.out_dtype)
    if kind not in _BYTES or dtype(x) != "float32" or dtype(scale) != "float32":
        return call
    factor, shift = (_along(each, call) for each in (scale, zero))
    if factor is None or shift is None:
        return call
    value = x if (factor == 1).all() else builder.emit(relax.op.divide(x, relax.const(factor)))
    value = builder.emit(relax.op.round(value))
    if shift.any():
        value = builder.emit(relax.op.add(value, relax.const(shift.astype("float32"))))
    least, greatest = np.iinfo(kind).min, np.iinfo(kind).max
    inside = builder.emit(_between(builder, value, float(least), float(greatest)))
    return relax.op.astype(inside, kind)


def _dequantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, scale, zero = call.args
    if dtype(x) not in _BYTES or str(call.attrs.out_dtype) != "float32":
        return call
    factor, shift = (_along(each, call) for each in (scale, zero))
    if factor is None or shift is None:
        return call
    value = builder.emit(relax.op.astype(x, "int32"))
    if shift.any():
        value = builder.emit(relax.op.subtract(value, relax.const(shift.astype("int32"))))
    real = builder.emit(relax.op.astype(value, "float32"))
    return relax.op.multiply(real, relax.const(factor.astype("float32")))


def _clip(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, *limits = call.args
    if not all(hasattr(limit, "value") for limit in limits):
        return call
    low, high = (limit.value for limit in limits)
    return _between(builder, x, low, high)


def _between(builder: relax.BlockBuilder, x: relax.Expr, low: float, high: float) -> relax.Expr:
    below = builder.emit(relax.op.minimum(x, relax.const(high, dtype(x))))
    return relax.op.maximum(below, relax.const(low, dtype(x)))


def _along(values: relax.Expr, call: relax.Call) -> np.ndarray | None:
    """Constant parameters so that they broadcast to the tensor. None if they are computed."""
    if not isinstance(values, tvm.ir.GenericConst):
        return None
    array, rank = values.value.numpy(), call.ty.ndim
    if array.size == 1:
        return array.reshape(())
    axis = int(call.attrs.axis) % rank
    return array.reshape([1] * axis + [-1] + [1] * (rank - axis - 1))


RULES: dict[str, Legalize] = {
    "relax.quantize": _quantize,
    "relax.dequantize": _dequantize,
    "relax.clip": _clip,
}
