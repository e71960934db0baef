"""softmax of a quantized tensor, whose result is quantized too.

The differences of two elements are integers times a scale, which is folded into exp. So there is no
tensor of floats. Knows no target and no graph.
"""

from tvm import te

from ..numerics import exp_bits
from ..numerics.byte_rounding import rounded
from ..numerics.exp_bits import constant
from ..numerics.ladder import LADDER
from ..tvm_version import tir
from . import compute, rows
from .rows import Expr, Row, Stmt

# If no two elements of a row differ by more, exp may take differences from the largest byte instead
# of the row's largest element: the sum and its reciprocal stay normal numbers.
_NEAR = 64.0


def byte_softmax(
    x: te.Tensor,
    *,
    method: str,
    ieee: bool,
    x_scale: float,
    y_scale: float,
    y_zero: float,
    scale: float = 1.0,
    **plan: int,
) -> te.Tensor:
    """softmax(scale*x) along the last axis.

    Parameters
    ----------
    x : te.Tensor
        int8 or uint8, as the result.
    method, ieee, scale
        As for :func:`compute.softmax`.
    x_scale : float
        The difference of elements whose bytes differ by one. Positive.
    y_scale, y_zero : float
        The numbers of the result are ``y_scale * (y - y_zero)``.
    **plan
        Options of :func:`row_kernel.kernel`.
    """
    kind, step = str(x.dtype), scale * x_scale

    def exp(t: Expr) -> Expr:
        return exp_bits.softmax_exp(t, LADDER[method], ieee, scale=step)

    def byte(steps: Expr) -> Expr:
        return rounded(steps, tir.const(int(y_zero), "int32"), kind, positive=True)

    def program(
        r: Row, at: tuple[Expr, ...], inputs: list[tir.Buffer], out: tir.Buffer
    ) -> list[Stmt]:
        (given,) = inputs

        def element(i: Expr) -> Expr:
            return given[(*at, i)]

        steps: list[Stmt] = []
        top: Expr = tir.Cast("int32", tir.max_value(kind))
        if 255 * step > _NEAR:
            found, largest = r.reduce(element, tir.max, tir.max, tir.min_value(kind))
            keep, top = rows.store_scalar(tir.Cast("int32", largest))
            steps = [*found, *keep]

        def value(i: Expr) -> Expr:
            return tir.Cast("float32", tir.Cast("int32", element(i)) - top)

        highest = steps, constant(0)
        return compute.softmax_row(r, value, exp, out, at, None, highest, y_scale, byte)

    return compute.over_rows([x], x.shape, program, "quake_byte_softmax", kind, **plan)
