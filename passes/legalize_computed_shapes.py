"""Operators whose result has a shape that data decide: what does not fit ends the run.

TVM broadcasts to any shape, past the end of the tensor; divides by a slice's step, whatever it is;
and counts a slice that ends before it begins as one of negative length.
"""

from typing import Any

import tvm
from tvm import relax, te, tirx, topi

from quake_tvm.index_check import CHECKED, Places, checked, legalize

from .legalize import Legalize

# No axis is longer: a step beyond is as far.
_FAR = 1 << 40


def _broadcast_to(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Of a tensor whose extents may differ from the wanted ones, after a look whether they do."""
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


def _dynamic_strided_slice(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, begin, end, steps = call.args

    def zeros(steps: te.Tensor) -> te.Tensor:
        return te.compute(steps.shape, lambda i: tirx.Cast("int64", steps(i) == 0), name="zeros")

    def fitting(begin: te.Tensor, end: te.Tensor, steps: te.Tensor, zero: te.Tensor) -> te.Tensor:
        """Whether a step is 0 is looked at first."""
        extents = list(x.ty.shape)

        def length(k: tirx.Expr) -> tirx.Expr:
            extent = extents[-1]
            for axis, size in enumerate(extents[:-1]):
                extent = tirx.Select(k == axis, size, extent)
            back = steps(k) < 0
            low, high = tirx.Select(back, -1, 0), tirx.Select(back, extent - 1, extent)

            def place(index: tirx.Expr) -> tirx.Expr:
                index = tirx.Select(index < 0, index + extent, index)
                return tirx.min(tirx.max(index, low), high)

            first, last = place(begin(k)), place(end(k))
            near = tirx.max(tirx.min(steps(k), _FAR), -_FAR)
            step = tirx.max(tirx.Select(back, -near, near), 1) + zero(k)
            way = tirx.Select(back, first - last, last - first)
            return tirx.floordiv(tirx.max(way, 0) + step - 1, step)

        return te.compute(begin.shape, length, name="T_shape_func_strided_slice_dynamic")

    none = builder.emit(builder.call_te(zeros, steps))
    none = checked(none, [1], Places.FRONT, "dynamic_strided_slice", problem="a step is 0")
    none = builder.emit(legalize(builder, builder.normalize(none)))
    shape = builder.emit(builder.call_te(fitting, begin, end, steps, none))
    shape = builder.emit(relax.op.tensor_to_shape(shape))
    sizes = [tirx.Var("s", "int64") for _ in x.ty.shape]
    builder.match_cast(shape, relax.ShapeType(sizes))
    return builder.call_te(topi.dynamic_strided_slice, x, begin, end, steps, output_shape=sizes)


RULES: dict[str, Legalize] = {
    "relax.broadcast_to": _broadcast_to,
    "relax.dynamic_strided_slice": _dynamic_strided_slice,
}
