"""Matrix products of groups of small integers as tensor computations, with what follows them.

The left operand comes from :mod:`byte_groups`. Knows no graph and no target.
"""

from collections.abc import Callable

from tvm import te

from ..numerics.byte_dots import Format
from ..tvm_version import tir


def group_term(
    form: Format, x: Callable[[tir.Expr], tir.Expr], k: tir.Expr, w: tir.Expr
) -> tir.Expr:
    """What a product of groups sums: from the groups of a row, a number, and a group of weights."""
    return form.dot(tir.const(0, "int32"), x(k), w)


def shifted(product: te.Tensor, constants: te.Tensor) -> te.Tensor:
    """A product plus a constant for each column, or for each column of each group.

    Parameters
    ----------
    product : Tensor
        int32, of shape (.., n).
    constants : Tensor
        int32, of shape (n,) or of several of the last extents.
    """
    last = len(constants.shape)
    return te.compute(product.shape, lambda *i: product(*i) + constants(*i[-last:]), name="shifted")


def dequantized(
    product: te.Tensor,
    scales: te.Tensor,
    zeros: te.Tensor,
    factors: te.Tensor,
    sums: te.Tensor,
) -> te.Tensor:
    """The float32 product of rows x = scale*(q - zero) with columns w = factor*p.

    Parameters
    ----------
    product : Tensor
        int32, the sums of q*p, of shape (.., m, n).
    scales, zeros : Tensor
        float32 and int32, one for each row, of shape (.., m).
    factors, sums : Tensor
        float32 and int32, one for each column: its factor, and the sum of its p. Of shape (n,).
    """

    def element(*i: tir.Expr) -> tir.Expr:
        exact = product(*i) - zeros(*i[:-1]) * sums(i[-1])
        return tir.Cast("float32", exact) * factors(i[-1]) * scales(*i[:-1])

    return te.compute(product.shape, element, name="dequantized")
