"""Source elements and weights of a resized axis whose lengths are known only at run time.

The model itself computes them, from formulas that a format gives. Knows no format.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tvm
from tvm import relax, te, tirx

Expr: TypeAlias = tvm.ir.Expr


def computed_taps(
    builder: relax.BlockBuilder,
    sizes: Sequence[Expr],
    taps: int,
    coordinate: Callable[[tirx.Var, Sequence[Expr]], Expr],
    index: Callable[[Expr, tirx.Var, Sequence[Expr]], Expr],
    weight: Callable[[Expr, tirx.Var], Expr] | None,
) -> tuple[relax.Expr, relax.Expr | None]:
    """Indices (int32) and weights (float32), each of (resized, taps); no weights without formula.

    Parameters
    ----------
    builder : BlockBuilder
    sizes : sequence of Expr
        Elements before and after.
    taps : int
        Source elements of each element.
    coordinate : callable
        The position of an element on the original axis, from the element and the sizes.
    index : callable
        The place of a tap, from the position, the tap and the sizes. It may be outside of the axis,
        which then gives its first or last element.
    weight : callable or None
        The weight of a tap, from the position and the tap.
    """
    sizes = list(sizes)

    def coordinates(sizes: list[Expr]) -> te.Tensor:
        return te.compute([sizes[1]], lambda o: coordinate(o, sizes), name="coordinates")

    def indices(x: te.Tensor, sizes: list[Expr]) -> te.Tensor:
        def element(o: tirx.Var, k: tirx.Var) -> Expr:
            last = tirx.Cast("int32", sizes[0] - 1)
            return tirx.max(tirx.min(tirx.Cast("int32", index(x[o], k, sizes)), last), 0)

        return te.compute([sizes[1], taps], element, name="indices")

    # not fused: TVM 0.27 cannot bind a quotient of floats that may be 0 to a variable
    alone = {"op_pattern": 8}
    x = builder.emit_te(
        coordinates, sizes, primfunc_name_hint="resize_coordinates", primfunc_attrs=alone
    )
    found = builder.emit_te(indices, x, sizes, primfunc_name_hint="resize_indices")
    if weight is None:
        return found, None
    formula = weight

    def weights(x: te.Tensor) -> te.Tensor:
        return te.compute([x.shape[0], taps], lambda o, k: formula(x[o], k), name="weights")

    return found, builder.emit_te(weights, x, primfunc_name_hint="resize_weights")
