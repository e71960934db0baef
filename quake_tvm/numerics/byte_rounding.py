"""float32 rounded to bytes, as expressions.

After the addition of 1.5 * 2^23 the lowest bits of a float32 are the nearest integer to what it
was, and the even one of two. Values that are too low are clamped before it. Then all bits are those
of a positive number and rise with it, so that the others are clamped as unsigned integers, which
x86 does while it narrows them. Knows no operator and no target.
"""

import numpy as np

from ..tvm_version import Expr, tir
from .exp_bits import let

_ROUNDING = 1.5 * 2**23
_ROUNDED = 0x4B400000  # its bits


def rounded(value: Expr, zero: Expr, dtype: str, positive: bool = False) -> Expr:
    """The byte nearest to ``value + zero``. NaN becomes the least one, as in ONNX Runtime.

    Parameters
    ----------
    value, zero : Expr
        float32 and int32.
    dtype : str
        int8 or uint8.
    positive : bool
        The value is known to be a number, and at least 0.
    """
    least = int(np.iinfo(dtype).min)
    low = tir.Cast("float32", tir.const(least, "int32") - zero)
    inside = value if positive else let(value, lambda v: tir.Select(v > low, v, low))
    integer = inside + tir.const(_ROUNDING, "float32")
    above = tir.reinterpret("int32", integer) + (zero - (_ROUNDED + least))
    byte = tir.Cast("uint8", tir.min(tir.Cast("uint32", above), tir.const(255, "uint32")))
    # The byte is what the number is above the least one.
    return byte if least == 0 else tir.reinterpret(dtype, byte ^ tir.const(0x80, "uint8"))
