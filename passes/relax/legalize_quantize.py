"""Quantizations of float32 to bytes by :mod:`quake_tvm.numerics.byte_rounding`, others to 16 bits.

TVM's own legalization rounds, clamps and converts, and what NaN becomes depends on the CPU.
"""

from tvm import relax, te

from quake_tvm.numerics.byte_rounding import rounded
from quake_tvm.numerics.exp_bits import let
from quake_tvm.tvm_version import tir

from .graph import dtype
from .legalize import Legalize
from .quantized import BYTES, number, single

_WORDS = ("int16", "uint16")


def _word(value: tir.Expr, zero: tir.Expr, to: str) -> tir.Expr:
    """The integer of 16 bits nearest to ``value + zero``. NaN becomes the least one."""
    low, high = (tir.Cast("float32", end(to)) for end in (tir.min_value, tir.max_value))
    shifted = tir.nearbyint(value) + tir.Cast("float32", zero)
    return tir.Cast(to, let(shifted, lambda v: tir.Select(v > low, tir.min(v, high), low)))


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    (x, scale, zero), to = call.args, str(call.attrs.out_dtype)
    if to not in (*BYTES, *_WORDS) or {dtype(x), dtype(scale)} != {"float32"}:
        return call.op.get_attr("FLegalize")(builder, call)
    axis = int(call.attrs.axis) % max(x.ty.ndim, 1)
    apart = [p for p in (scale, zero) if number(p) is None]

    def quantized(x: te.Tensor, *given: te.Tensor) -> te.Tensor:
        tensors = dict(zip(map(id, apart), given, strict=True))

        def parameter(p: relax.Expr, i: tuple[tir.Expr, ...]) -> tir.Expr:
            if id(p) not in tensors:
                return tir.const(number(p), dtype(p))
            tensor = tensors[id(p)]
            return tensor(*[0] * len(tensor.shape)) if single(p) else tensor(i[axis])

        def element(*i: tir.Expr) -> tir.Expr:
            value = x(*i) / parameter(scale, i) if number(scale) != 1 else x(*i)
            integer = rounded if to in BYTES else _word
            return integer(value, tir.Cast("int32", parameter(zero, i)), to)

        return te.compute(x.shape, element, name="quantized")

    return builder.call_te(quantized, x, *apart, primfunc_name_hint="quantize")


RULES: dict[str, Legalize] = {"relax.quantize": _quantize}
