"""Source elements and weights of a resized axis whose lengths are known only at run time.

The formulas are those of :mod:`resampling`, computed by the model itself.
"""

import numpy as np
import tvm
from tvm import relax, te, tirx

from ..resampling import HALF, Method
from .extents import Extent, expression

_COORDINATES = {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"} | {
    "tf_half_pixel_for_nn"
}  # fmt: skip


def knows(method: Method) -> bool:
    """Whether there are formulas here for the method."""
    whole = not method.antialias and not method.exclude_outside
    return whole and method.coordinates in _COORDINATES


def table(
    builder: relax.BlockBuilder,
    length: Extent,
    resized: Extent,
    scale: np.float32 | None,
    method: Method,
) -> tuple[relax.Expr, relax.Expr | None]:
    """Indices and weights, each of (resized, taps). The weights are None if elements are copied.

    Parameters
    ----------
    builder : BlockBuilder
    length, resized : Extent
        Elements before and after.
    scale : numpy.float32 or None
        The ratio; None if it follows from the lengths.
    method : Method
    """
    taps = {"nearest": 1, "linear": 2, "cubic": 4}[method.mode]
    sizes = [expression(length), expression(resized)]

    def coordinates(sizes: list[tvm.ir.Expr]) -> te.Tensor:
        def element(o: tirx.Var) -> tvm.ir.Expr:
            return _coordinate(o, sizes[0], sizes[1], scale, method.coordinates)

        return te.compute([sizes[1]], element, name="coordinates")

    def indices(x: te.Tensor, sizes: list[tvm.ir.Expr]) -> te.Tensor:
        def element(o: tirx.Var, k: tirx.Var) -> tvm.ir.Expr:
            if method.mode == "nearest":
                index = _nearest(x[o], _ratio(sizes[0], sizes[1], scale), method.rounding)
            else:
                index = tirx.floor(x[o]) + _place(k, taps)
            last = tirx.Cast("int32", sizes[0] - 1)
            return tirx.max(tirx.min(tirx.Cast("int32", index), last), 0)

        return te.compute([sizes[1], taps], element, name="indices")

    def weights(x: te.Tensor) -> te.Tensor:
        def element(o: tirx.Var, k: tirx.Var) -> tvm.ir.Expr:
            distance = tirx.abs(x[o] - tirx.floor(x[o]) - _place(k, taps))
            if method.mode == "linear":
                return _float(1) - distance
            return _cubic(distance, method.cubic_coeff_a)

        return te.compute([x.shape[0], taps], element, name="weights")

    # not fused: TVM 0.27 cannot bind a quotient of floats that may be 0 to a variable
    alone = {"op_pattern": 8}
    x = builder.emit_te(
        coordinates, sizes, primfunc_name_hint="resize_coordinates", primfunc_attrs=alone
    )
    found = builder.emit_te(indices, x, sizes, primfunc_name_hint="resize_indices")
    if method.mode == "nearest":
        return found, None
    return found, builder.emit_te(weights, x, primfunc_name_hint="resize_weights")


def _place(tap: tirx.Var, taps: int) -> tvm.ir.Expr:
    """How far a tap is from the element before the coordinate."""
    return tirx.Cast("float32", tap - (taps // 2 - 1))


def _float(value: float | np.float32) -> tirx.FloatImm:
    return tirx.const(float(value), "float32")


def _ratio(length: tvm.ir.Expr, resized: tvm.ir.Expr, scale: np.float32 | None) -> tvm.ir.Expr:
    if scale is not None:
        return _float(scale)
    return tirx.Cast("float32", resized) / tirx.Cast("float32", length)


def _coordinate(
    o: tirx.Var,
    length: tvm.ir.Expr,
    resized: tvm.ir.Expr,
    scale: np.float32 | None,
    mode: str,
) -> tvm.ir.Expr:
    """The position of an element of the resized axis on the original axis."""
    place, half = tirx.Cast("float32", o), _float(0.5)
    ratio = _ratio(length, resized, scale)
    if mode == "asymmetric":
        return place / ratio
    if mode == "tf_half_pixel_for_nn":
        return (place + half) / ratio
    if mode == "align_corners":
        last, steps = (tirx.Cast("float32", n - 1) for n in (length, resized))
        return tirx.Select(resized > 1, place * last / steps, _float(0))
    x = (place + half) / ratio - half
    if mode == "pytorch_half_pixel":
        return tirx.Select(resized > 1, x, _float(0))
    return x


def _nearest(x: tvm.ir.Expr, ratio: tvm.ir.Expr, rounding: str) -> tvm.ir.Expr:
    """The index of the element nearest to a coordinate."""
    if rounding == "simple":
        return tirx.Select(ratio < _float(1), tirx.ceil(x), tirx.trunc(x))
    if rounding in ("floor", "ceil"):
        return getattr(tirx, rounding)(x)
    floor = tirx.floor(x)
    tie = tirx.abs(x - floor - _float(0.5)) < _float(HALF)
    up = floor + _float(1 if rounding == "round_prefer_ceil" else 0)
    wide = tirx.floor(tirx.Cast("float64", x) + tirx.const(0.5, "float64"))
    return tirx.Select(tie, up, tirx.Cast("float32", wide))


def _cubic(x: tvm.ir.Expr, a: float) -> tvm.ir.Expr:
    """The kernel of Keys (https://doi.org/10.1109/TASSP.1981.1163711) at a distance."""
    near = (_float(a + 2) * x - _float(a + 3)) * x * x + _float(1)
    far = ((_float(a) * x - _float(5 * a)) * x + _float(8 * a)) * x - _float(4 * a)
    return tirx.Select(x <= _float(1), near, tirx.Select(x < _float(2), far, _float(0)))
