"""Operators whose result shape depends on data: shapes that do not fit end the run with an error.

TVM's own legalizations do not check. broadcast_to reads past the end of the tensor. A slice divides
by its step, whatever it is. A slice that ends before it begins has a negative length.
"""

from typing import Any

import tvm
from tvm import relax, te, tirx

from quake_tvm.kernels.index_check import CHECKED, Places, checked, legalize

from .legalize import Legalize

# No axis is longer than this, so larger steps are clipped to it.
_FAR = 1 << 40


def _broadcast_to(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Broadcast a tensor after a check that its extents fit the computed ones."""
    x, wanted = call.args[0], list(call.ty.shape)
    given = list(x.ty.shape)
    analyzer = tvm.sym.Analyzer()
    pairs = [
        pair
        for n, size in zip(given, wanted[len(wanted) - len(given) :], strict=True)
        if not _is_one(n) and not analyzer.can_prove_equal(n, size)
        for pair in ((n, size), (size, n))
    ]
    if not pairs:
        return call.op.get_attr("FLegalize")(builder, call)
    zero = relax.const([0], "int64")
    problem = "the tensor does not fit the shape that was computed"
    fits = checked(zero, [1], Places.FRONT, "broadcast_to", pairs, problem)
    fits = builder.emit(legalize(builder, builder.normalize(fits)))

    def broadcast_to(x: te.Tensor, fits: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> tirx.Expr:
            at = i[len(i) - len(given) :]
            return x(
                *[fits(0) if _is_one(n) else k + fits(0) for k, n in zip(at, given, strict=True)]
            )

        return te.compute(wanted, element, name="T_broadcast_to")

    return builder.call_te(
        broadcast_to, x, fits, primfunc_name_hint="broadcast_to", primfunc_attrs={CHECKED: True}
    )


def _is_one(size: Any) -> bool:
    return isinstance(size, tirx.IntImm) and size.value == 1


def _chosen(sizes: list[tirx.Expr], k: tirx.Expr) -> tirx.Expr:
    """The size at an index that is not constant."""
    found = sizes[-1]
    for axis, size in enumerate(sizes[:-1]):
        found = tirx.Select(k == axis, size, found)
    return found


def _dynamic_strided_slice(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, begin, end, steps = call.args
    extents = list(x.ty.shape)

    def zeros(steps: te.Tensor) -> te.Tensor:
        return te.compute(steps.shape, lambda i: tirx.Cast("int64", steps(i) == 0), name="zeros")

    def place(
        index: tirx.Expr, extent: tirx.Expr, back: tirx.Expr, lowest: tirx.Expr | int
    ) -> tirx.Expr:
        index = tirx.Select(index < 0, index + extent, index)
        return tirx.min(tirx.max(index, lowest), tirx.Select(back, extent - 1, extent))

    def first(begin: te.Tensor, steps: te.Tensor, zero: te.Tensor, shape: list) -> te.Tensor:
        """The start along each axis.

        It adds the result of the check of the steps, which thus runs first.
        """

        def start(k: tirx.Expr) -> tirx.Expr:
            return place(begin(k), _chosen(shape, k), steps(k) < 0, 0) + zero(k)

        return te.compute(begin.shape, start, name="start")

    def near(steps: te.Tensor) -> te.Tensor:
        return te.compute(steps.shape, lambda k: tirx.max(tirx.min(steps(k), _FAR), -_FAR))

    def fitting(begin: te.Tensor, end: te.Tensor, steps: te.Tensor, shape: list) -> te.Tensor:
        def length(k: tirx.Expr) -> tirx.Expr:
            back = steps(k) < 0
            last = place(end(k), _chosen(shape, k), back, tirx.Select(back, -1, 0))
            step = tirx.max(tirx.Select(back, -steps(k), steps(k)), 1)
            way = tirx.Select(back, begin(k) - last, last - begin(k))
            return tirx.floordiv(tirx.max(way, 0) + step - 1, step)

        return te.compute(begin.shape, length, name="T_shape_func_strided_slice_dynamic")

    def kept(x: te.Tensor, begin: te.Tensor, steps: te.Tensor) -> te.Tensor:
        def element(*i: tirx.Var) -> tirx.Expr:
            return x(*(begin(k) + at * steps(k) for k, at in enumerate(i)))

        return te.compute(sizes, element, name="T_strided_slice_dynamic")

    none = builder.emit(builder.call_te(zeros, steps))
    none = checked(none, [1], Places.FRONT, "dynamic_strided_slice", problem="a step is 0")
    none = builder.emit(legalize(builder, builder.normalize(none)))
    begin = builder.emit(builder.call_te(first, begin, steps, none, extents))
    steps = builder.emit(builder.call_te(near, steps))
    shape = builder.emit(builder.call_te(fitting, begin, end, steps, extents))
    shape = builder.emit(relax.op.tensor_to_shape(shape))
    sizes = [tirx.Var("s", "int64") for _ in x.ty.shape]
    builder.match_cast(shape, relax.ShapeType(sizes))
    return builder.call_te(kept, x, begin, steps, primfunc_name_hint="dynamic_strided_slice")


RULES: dict[str, Legalize] = {
    "relax.broadcast_to": _broadcast_to,
    "relax.dynamic_strided_slice": _dynamic_strided_slice,
}
