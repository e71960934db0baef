"""Quantizations of float32 to bytes: an addition that rounds to an integer, and clamps around it.

After the addition of 1.5 * 2^23 the lowest bits of a float32 are the nearest integer to what it
was, and the even one of two. Values that are too low are clamped before it. Then all bits are those
of a positive number and rise with it, so that the others are clamped as unsigned integers, which
x86 does while it narrows them. NaN becomes the largest byte. TVM's own legalization rounds,
converts and clamps.
"""

import numpy as np
from tvm import relax, te

from quake_tvm.tvm_version import tir

from .graph import dtype
from .legalize import Legalize
from .quantized import BYTES, number, single

_ROUNDING = 1.5 * 2**23
_ROUNDED = 0x4B400000  # its bits


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    (x, scale, zero), to = call.args, str(call.attrs.out_dtype)
    if to not in BYTES or {dtype(x), dtype(scale)} != {"float32"}:
        return call.op.get_attr("FLegalize")(builder, call)
    axis = int(call.attrs.axis) % max(x.ty.ndim, 1)
    apart = [p for p in (scale, zero) if number(p) is None]

    least = int(np.iinfo(to).min)

    def quantized(x: te.Tensor, *given: te.Tensor) -> te.Tensor:
        tensors = dict(zip(map(id, apart), given, strict=True))

        def parameter(p: relax.Expr, i: tuple[tir.Expr, ...]) -> tir.Expr:
            if id(p) not in tensors:
                return tir.const(number(p), dtype(p))
            tensor = tensors[id(p)]
            return tensor(*[0] * len(tensor.shape)) if single(p) else tensor(i[axis])

        def element(*i: tir.Expr) -> tir.Expr:
            value = x(*i) / parameter(scale, i) if number(scale) != 1 else x(*i)
            point = tir.Cast("int32", parameter(zero, i))
            low = tir.Cast("float32", tir.const(least, "int32") - point)
            rounded = tir.max(low, value) + tir.const(_ROUNDING, "float32")
            # What it is above the least byte.
            above = tir.reinterpret("int32", rounded) + (point - (_ROUNDED + least))
            highest = tir.const(255, "uint32")
            byte = tir.Cast("uint8", tir.min(tir.Cast("uint32", above), highest))
            if to == "uint8":
                return byte
            return tir.reinterpret(to, byte ^ tir.const(0x80, "uint8"))

        return te.compute(x.shape, element, name="quantized")

    return builder.call_te(quantized, x, *apart, primfunc_name_hint="quantize")


RULES: dict[str, Legalize] = {"relax.quantize": _quantize}
