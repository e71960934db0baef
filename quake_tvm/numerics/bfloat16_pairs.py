"""Dot products of two pairs of bfloat16 numbers, added to a float32: ``vdpbf16ps`` and its like.

A pair is an int32. Its low half is the number with the even index. ``dot(c, a, b)`` is
fma(low a, low b, fma(high a, high b, c)). The instructions of AVX512-BF16 and of ARM's BF16 give
these bits, except that x86's takes subnormal numbers for zero. :mod:`pair_instructions` computes
the operators. Knows no operator of the registry, no schedule and no target.
"""

import numpy as np
import tvm

from ..tvm_version import PREFIX, Call, Expr, dtype_of, register_op, tir

DOT, PAIR, NARROW = (f"{PREFIX}quake_pair_dot", f"{PREFIX}quake_pair", f"{PREFIX}quake_narrow")
_PURE = 1  # TVM's CallEffectKind.Pure
register_op(DOT, "fma(low a, low b, fma(high a, high b, c))")
register_op(PAIR, "the bits of two neighbours of 16 bits in memory as one int32")
register_op(NARROW, "the bits of the bfloat16 nearest to a float32")
for _operator in (DOT, PAIR, NARROW):
    tvm.ir.register_op_attr(_operator, "TVectorizable", True)
    tvm.ir.register_op_attr(_operator, "TCallEffectKind", _PURE)
    tvm.ir.register_op_attr(_operator, "TScriptPrinterName", _operator.removeprefix(PREFIX))


def narrowed(x: Expr) -> Expr:
    """The bits, an uint16, of the bfloat16 nearest to a float32."""
    return tir.call_intrin(dtype_of(x).replace("float32", "uint16"), NARROW, x)


def pair(even: Expr, odd: Expr) -> Expr:
    """The pair of two bfloat16 numbers that are neighbours in memory, given by their bits.

    Parameters
    ----------
    even, odd : Expr
        uint16. The index of the first in its tensor is even.
    """
    return tir.call_intrin("int32", PAIR, even, odd)


def joined(even: Expr, odd: Expr) -> Expr:
    """The pair of any two bfloat16 numbers, or vectors of them, given by their bits."""
    wide = dtype_of(even).replace("uint16", "uint32")
    shifted = tir.Cast(wide, odd) << tir.const(16, wide)
    return tir.reinterpret(wide.replace("uint", "int"), shifted | tir.Cast(wide, even))


def packed_rows(values: np.ndarray) -> np.ndarray:
    """Pairs of neighbouring rows of a matrix.

    Parameters
    ----------
    values : np.ndarray
        float32, of shape (k, ..).

    Returns
    -------
    np.ndarray
        int32, of shape ((k + 1)/2, ..). The last row of an odd number is paired with zeros.
    """
    if len(values) % 2:
        values = np.concatenate([values, np.zeros_like(values[:1])])
    bits = values.astype("bfloat16").view(np.uint16).astype(np.uint32)
    return (bits[1::2] << 16 | bits[::2]).view(np.int32)


def dot(c: Expr, a: Expr, b: Expr) -> Expr:
    """c plus the dot product of the pairs a and b.

    Parameters
    ----------
    c : Expr
        float32.
    a, b : Expr
        int32: pairs.
    """
    return tir.call_intrin(dtype_of(c), DOT, c, a, b)


def is_dot(expr: Expr) -> bool:
    """Whether the expression is a :func:`dot`."""
    return isinstance(expr, Call) and isinstance(expr.op, tvm.ir.Op) and expr.op.name == DOT
