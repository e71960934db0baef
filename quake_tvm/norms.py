"""layer_norm and rms_norm along the last axis, written out as :mod:`rows` does it.

Both passes over a row are sums in a tree of fixed shape; the variance is the mean square of what is
left after the mean is taken off, which loses nothing to cancellation. Exact but for rounding: no
approximation takes part.
"""

from tvm import te

from . import rows
from .exponential import constant
from .generation import fma, tir
from .rows import Expr, Row, Stmt


def layer_norm(
    x: te.Tensor,
    gamma: te.Tensor | None = None,
    beta: te.Tensor | None = None,
    *,
    epsilon: float,
) -> te.Tensor:
    """(x - mean)/sqrt(variance + epsilon) * gamma + beta; float32, gamma and beta of a row's length.

    Parameters
    ----------
    gamma, beta : te.Tensor, optional
        Both or neither.
    """

    def along(r: Row, x: tir.Buffer, weights: list[tir.Buffer], out: tir.Buffer, at: tuple) -> Stmt:
        count = tir.Cast("float32", r.length)
        sums, total = rows.total(r, lambda i: x[(*at, i)], wide=rows.WIDE)
        keep_mean, mean = rows.kept(total / count)
        more, square = rows.squares(r, lambda i: x[(*at, i)] - mean)
        keep, factor = rows.kept(
            constant(1) / tir.sqrt(square / count + constant(epsilon))
        )

        def element(i: Expr) -> Stmt:
            value = (x[(*at, i)] - mean) * factor
            if weights:
                value = fma(value, weights[0][i], weights[1][i])
            return tir.BufferStore(out, value, [*at, i])

        return rows.sequence(*sums, *keep_mean, *more, *keep, r.each(element))

    weights = [] if gamma is None else [gamma, beta]
    return _over_rows(x, weights, along, "quake_layer_norm")


def rms_norm(x: te.Tensor, gamma: te.Tensor, *, epsilon: float) -> te.Tensor:
    """x/sqrt(mean(x^2) + epsilon) * gamma; float32, gamma of a row's length."""

    def along(r: Row, x: tir.Buffer, weights: list[tir.Buffer], out: tir.Buffer, at: tuple) -> Stmt:
        sums, square = rows.squares(r, lambda i: x[(*at, i)])
        mean = square / tir.Cast("float32", r.length)
        keep, factor = rows.kept(constant(1) / tir.sqrt(mean + constant(epsilon)))

        def element(i: Expr) -> Stmt:
            return tir.BufferStore(out, x[(*at, i)] * factor * weights[0][i], [*at, i])

        return rows.sequence(*sums, *keep, r.each(element))

    return _over_rows(x, [gamma], along, "quake_rms_norm")


def _over_rows(x: te.Tensor, weights: list[te.Tensor], along, name: str) -> te.Tensor:
    *outer, length = x.shape

    def body(x: tir.Buffer, weights: list[tir.Buffer], out: tir.Buffer) -> Stmt:
        def row(*at: Expr) -> Stmt:
            return rows.by_length(length, lambda r: along(r, x, weights, out, at))

        return rows.rows(outer, length, row)

    return te.extern(
        [x.shape],
        [x, *weights],
        lambda ins, outs: body(ins[0], list(ins[1:]), outs[0]),
        name=name,
        dtype="float32",
    )
