"""layer_norm and rms_norm along the last axis, generated as statements with :mod:`rows`.

Both passes over a row are sums in a tree of fixed shape. The variance is the mean square of the
differences from the mean, which has no cancellation. The results are exact up to rounding: nothing
is approximated.
"""

from tvm import te

from ..numerics.exp_bits import constant
from ..numerics.number_formats import COMPUTED
from ..tvm_version import fma, tir
from . import rows
from .compute import over_rows
from .rows import Expr, Row, Stmt


def layer_norm(
    x: te.Tensor,
    gamma: te.Tensor | None = None,
    beta: te.Tensor | None = None,
    *,
    epsilon: float,
    **plan: int,
) -> te.Tensor:
    """(x - mean)/sqrt(variance + epsilon) * gamma + beta, along the last axis.

    Parameters
    ----------
    x : te.Tensor
        float32.
    gamma, beta : te.Tensor, optional
        float32, of a row's length. Both or neither.
    epsilon : float
    **plan
        Options of :func:`row_kernel.kernel`.
    """

    def program(
        r: Row, at: tuple[Expr, ...], inputs: list[tir.Buffer], out: tir.Buffer
    ) -> list[Stmt]:
        x, *weights = inputs
        count = tir.Cast("float32", r.length)
        sums, total = rows.total(r, lambda i: x[(*at, i)], wide=rows.WIDE)
        keep_mean, mean = rows.store_scalar(total / count)
        more, square = rows.squares(r, lambda i: x[(*at, i)] - mean)
        keep, factor = rows.store_scalar(constant(1) / tir.sqrt(square / count + constant(epsilon)))

        def element(i: Expr) -> Stmt:
            value = (x[(*at, i)] - mean) * factor
            if weights:
                value = fma(value, weights[0][i], weights[1][i])
            return tir.BufferStore(out, value, [*at, i])

        return [*sums, *keep_mean, *more, *keep, r.each(element)]

    weights = [] if gamma is None else [gamma, beta]
    return over_rows([x, *weights], x.shape, program, "quake_layer_norm", COMPUTED, **plan)


def rms_norm(x: te.Tensor, gamma: te.Tensor, *, epsilon: float, **plan: int) -> te.Tensor:
    """x/sqrt(mean(x^2) + epsilon) * gamma along the last axis.

    Parameters
    ----------
    x : te.Tensor
        float32.
    gamma : te.Tensor
        float32, of a row's length.
    epsilon : float
    **plan
        Options of :func:`row_kernel.kernel`.
    """

    def program(
        r: Row, at: tuple[Expr, ...], inputs: list[tir.Buffer], out: tir.Buffer
    ) -> list[Stmt]:
        x, *weights = inputs
        sums, square = rows.squares(r, lambda i: x[(*at, i)])
        mean = square / tir.Cast("float32", r.length)
        keep, factor = rows.store_scalar(constant(1) / tir.sqrt(mean + constant(epsilon)))

        def element(i: Expr) -> Stmt:
            return tir.BufferStore(out, x[(*at, i)] * factor * weights[0][i], [*at, i])

        return [*sums, *keep, r.each(element)]

    return over_rows([x, gamma], x.shape, program, "quake_rms_norm", COMPUTED, **plan)
