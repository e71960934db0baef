"""Quantizations of PT2E programs: float32 to integers of 8 or 16 bits and back.

torch multiplies by the reciprocal of a scale where ONNX divides by the scale. So a quantization is
this multiplication and a relax.quantize with a scale of 1, which gives torch's bytes.
"""

from typing import Any

import numpy as np
import tvm
from tvm import relax

from .converter import Context, converts, dims, dtype_of

op = relax.op
_NAMESPACE = "quantized_decomposed"
_INTEGERS = ("int8", "uint8", "int16", "uint16")


def _known(expr: relax.Expr) -> np.ndarray | None:
    """The value of a constant, None for other expressions."""
    return expr.value.numpy() if isinstance(expr, tvm.ir.GenericConst) else None


def _number(c: Context, value: Any, dtype: str) -> relax.Expr:
    """A parameter of a whole tensor without dimensions, of this dtype."""
    known = value if isinstance(value, int | float) else _known(value)
    if known is not None:
        return relax.const(np.asarray(known, dtype).reshape(()))
    return c.emit(op.reshape(c.cast(value, dtype), []))


def _reciprocal(c: Context, scale: Any) -> relax.Expr:
    """1 / scale of a whole tensor, as torch rounds it: in float64, then to float32."""
    wide = _number(c, scale, "float64")
    known = _known(wide)
    if known is not None:
        return relax.const(np.asarray(1.0 / known, np.float32))
    return c.cast(c.emit(op.divide(relax.const(1.0, "float64"), wide)), "float32")


def _quantized(
    c: Context, scaled: relax.Expr, zero: relax.Expr, limits: tuple[Any, Any], axis: int = -1
) -> relax.Expr:
    if c.dtype not in _INTEGERS:
        raise c.refuse(f"to {c.dtype}")
    steps = relax.const(np.ones([int(n) for n in zero.ty.shape], np.float32))
    made = c.emit(op.quantize(scaled, steps, zero, axis=axis, out_dtype=c.dtype))
    least, greatest = np.iinfo(c.dtype).min, np.iinfo(c.dtype).max
    low, high = limits
    if low > least:
        made = c.emit(op.maximum(made, relax.const(low, c.dtype)))
    if high < greatest:
        made = c.emit(op.minimum(made, relax.const(high, c.dtype)))
    return made


@converts(
    *("quantize_per_tensor.default", "quantize_per_tensor.tensor"),
    namespace=_NAMESPACE,
)
def _quantize(
    c: Context,
    input: relax.Expr,
    scale: Any,
    zero_point: Any,
    quant_min: int,
    quant_max: int,
    dtype: Any,
) -> relax.Expr:
    factor, x = _reciprocal(c, scale), c.cast(input, "float32")
    scaled = x if _is_one(factor) else c.emit(op.multiply(x, factor))
    return _quantized(c, scaled, _number(c, zero_point, "int32"), (quant_min, quant_max))


def _is_one(factor: relax.Expr) -> bool:
    known = _known(factor)
    return known is not None and bool(np.all(known == 1))


@converts(
    *("dequantize_per_tensor.default", "dequantize_per_tensor.tensor"),
    namespace=_NAMESPACE,
)
def _dequantize(
    c: Context,
    input: relax.Expr,
    scale: Any,
    zero_point: Any,
    quant_min: int,
    quant_max: int,
    dtype: Any,
    out_dtype: Any,
) -> relax.Expr:
    return _real(c, input, _number(c, scale, "float32"), _number(c, zero_point, "int32"))


def _real(
    c: Context, x: relax.Expr, scale: relax.Expr, zero: relax.Expr, axis: int = -1
) -> relax.Expr:
    known = _known(zero)
    whole = dtype_of(x) == "int32" and known is not None and not known.any()
    if dtype_of(x) not in _INTEGERS and not whole:
        raise c.refuse(f"of {dtype_of(x)} with these zero points")
    if c.dtype != "float32":
        raise c.refuse(f"to {c.dtype}")
    return c.emit(op.dequantize(x, scale, zero, axis=axis, out_dtype="float32"))


def _scales(c: Context, scales: relax.Expr) -> relax.Expr:
    """Scales of channels in float32. Those of float64 must be numbers of float32."""
    if dtype_of(scales) == "float32":
        return scales
    known = _known(scales)
    if known is None or np.any(known.astype(np.float32) != known):
        raise c.refuse(f"with scales of {dtype_of(scales)}")
    return relax.const(known.astype(np.float32))


@converts("quantize_per_channel.default", namespace=_NAMESPACE)
def _quantize_channels(
    c: Context,
    input: relax.Expr,
    scales: relax.Expr,
    zero_points: relax.Expr,
    axis: int,
    quant_min: int,
    quant_max: int,
    dtype: Any,
) -> relax.Expr:
    scales, along = _scales(c, scales), [1] * len(dims(input))
    along[axis] = -1
    factors = c.emit(op.divide(relax.const(1.0, "float32"), scales))
    factors = c.emit(op.reshape(factors, along))
    scaled = c.emit(op.multiply(c.cast(input, "float32"), factors))
    zeros = _integers(c, zero_points)
    return _quantized(c, scaled, zeros, (quant_min, quant_max), axis)


def _integers(c: Context, zeros: relax.Expr) -> relax.Expr:
    known = _known(zeros)
    return c.cast(zeros, "int32") if known is None else relax.const(known.astype(np.int32))


@converts("dequantize_per_channel.default", namespace=_NAMESPACE)
def _dequantize_channels(
    c: Context,
    input: relax.Expr,
    scales: relax.Expr,
    zero_points: relax.Expr | None,
    axis: int,
    quant_min: int,
    quant_max: int,
    dtype: Any,
    out_dtype: Any,
) -> relax.Expr:
    zeros = relax.const(np.zeros(dims(scales), np.int32))
    if zero_points is not None:
        zeros = _integers(c, zero_points)
    return _real(c, input, _scales(c, scales), zeros, axis)


@converts("choose_qparams.tensor", namespace=_NAMESPACE)
def _parameters(
    c: Context, input: relax.Expr, quant_min: int, quant_max: int, eps: float, dtype: Any
) -> list[relax.Expr]:
    low, high = _range(c, input)
    steps = relax.const(float(quant_max - quant_min), "float32")
    scale = _at_least(c, c.emit(op.divide(c.emit(op.subtract(high, low)), steps)), eps)
    start = c.cast(c.emit(op.round(c.emit(op.divide(low, scale)))), "int32")
    zero = c.emit(op.subtract(relax.const(quant_min, "int32"), start))
    zero = c.emit(op.maximum(zero, relax.const(quant_min, "int32")))
    zero = c.emit(op.minimum(zero, relax.const(quant_max, "int32")))
    return _as_stated(c, scale, zero)


@converts("choose_qparams_symmetric.tensor", namespace=_NAMESPACE)
def _symmetric(
    c: Context, input: relax.Expr, quant_min: int, quant_max: int, eps: float, dtype: Any
) -> list[relax.Expr]:
    low, high = _range(c, input)
    largest = c.emit(op.maximum(c.emit(op.negative(low)), high))
    steps = relax.const((quant_max - quant_min) / 2, "float32")
    scale = _at_least(c, c.emit(op.divide(largest, steps)), eps)
    # torch takes the middle of all 256 values, whatever the limits.
    return _as_stated(c, scale, relax.const(128 if str(dtype) == "torch.uint8" else 0, "int32"))


def _range(c: Context, x: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
    """The least and the greatest number of a tensor, and 0."""
    if dtype_of(x) != "float32":
        raise c.refuse(f"of {dtype_of(x)}")
    zero = relax.const(0.0, "float32")
    low = c.emit(op.minimum(c.emit(op.min(x)), zero))
    return low, c.emit(op.maximum(c.emit(op.max(x)), zero))


def _at_least(c: Context, scale: relax.Expr, eps: float) -> relax.Expr:
    return c.emit(op.maximum(scale, relax.const(eps, "float32")))


def _as_stated(c: Context, scale: relax.Expr, zero: relax.Expr) -> list[relax.Expr]:
    """A scale and a zero point as torch has them: float64 and int64, of one dimension."""
    return [
        c.emit(op.reshape(c.cast(scale, "float64"), [1])),
        c.emit(op.reshape(c.cast(zero, "int64"), [1])),
    ]


@converts("convert_element_type.no_fuse", namespace=_NAMESPACE)
def _convert(c: Context, input: relax.Expr, dtype: Any) -> relax.Expr:
    return c.cast(input, c.dtype)
