"""Matrix products of bfloat16 numbers as tensor computations, and the rounding of their operands.

The left operand is rows of bfloat16 numbers, of which two neighbours are one pair, and the right
operand is pairs. Numbers are stored by their bits, since TVM cannot compute with bfloat16. Knows no
graph and no target.
"""

from collections.abc import Callable

from tvm import te

from ..numerics.bfloat16_pairs import dot, narrowed, pair
from ..tvm_version import tir

At = Callable[[tir.Expr], tir.Expr]


def halves(x: te.Tensor) -> te.Tensor:
    """The elements rounded to bfloat16, and a 0 at the end of rows of odd length.

    Parameters
    ----------
    x : Tensor
        float32, of shape (.., k).

    Returns
    -------
    Tensor
        uint16, of shape (.., k), or (.., k + 1) where k is odd or unknown and rounded up to even.
    """
    *outer, length = x.shape

    def half(*i: tir.Expr) -> tir.Expr:
        if _is_even(length):
            return narrowed(x(*i))
        inside = tir.if_then_else(i[-1] < length, x(*i), tir.const(0, "float32"))
        return narrowed(inside)

    even = length if _is_even(length) else (length + 1) // 2 * 2
    return te.compute((*outer, even), half, name="halves")


def _is_even(length: tir.Expr) -> bool:
    """Whether an extent is a known even number."""
    return isinstance(length, tir.IntImm) and length.value % 2 == 0


def pair_term(x: At, k: tir.Expr, w: tir.Expr) -> tir.Expr:
    """What a product of pairs sums.

    Parameters
    ----------
    x : callable
        The halves of a row by their number.
    k : Expr
        The number of the pair.
    w : Expr
        The pair of the right operand.
    """
    return dot(tir.const(0, "float32"), pair(x(2 * k), x(2 * k + 1)), w)
