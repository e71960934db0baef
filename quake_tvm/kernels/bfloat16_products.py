"""Matrix products of bfloat16 pairs as tensor computations, and the conversion of their operands.

Knows no graph and no target.
"""

from tvm import te

from ..numerics.bfloat16_pairs import dot, packed
from ..tvm_version import tir


def pairs(x: te.Tensor) -> te.Tensor:
    """Neighbouring elements of each row as pairs.

    Parameters
    ----------
    x : Tensor
        float32, of shape (.., k).

    Returns
    -------
    Tensor
        int32, of shape (.., (k + 1)/2). A last element without a neighbour is paired with 0.
    """
    *outer, length = x.shape

    def pair(*i: tir.Expr) -> tir.Expr:
        even, odd = x(*i[:-1], 2 * i[-1]), x(*i[:-1], 2 * i[-1] + 1)
        if _is_even(length):
            return packed(even, odd)
        zero = tir.const(0, "float32")
        return packed(even, tir.if_then_else(2 * i[-1] + 1 < length, odd, zero))

    return te.compute((*outer, (length + 1) // 2), pair, name="pairs")


def _is_even(length: tir.Expr) -> bool:
    """Whether an extent is a known even number."""
    return isinstance(length, tir.IntImm) and length.value % 2 == 0


def pair_term(a: tir.Expr, b: tir.Expr) -> tir.Expr:
    """What a product of pairs sums."""
    return dot(tir.const(0, "float32"), a, b)
