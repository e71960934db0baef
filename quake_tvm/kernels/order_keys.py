"""Integers in the order of floats, so that sorting them orders NaN too.

TVM sorts by ``<``, which is false for NaN, so a row with a NaN is not sorted. Knows no importer.
"""

from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.ir import Expr

from ..errors import QuakeError


def order_keys(builder: relax.BlockBuilder, x: relax.Expr, nan_last: bool = True) -> relax.Expr:
    """Integers that compare as a tensor's values do, with -0 equal to 0.

    Parameters
    ----------
    builder : BlockBuilder
    x : Expr
        A tensor of any dtype and of known shape.
    nan_last : bool
        Whether NaN is above all other values; otherwise it is below them.

    Returns
    -------
    Expr
        int32; int64 for float64, int64 and uint32. The shape of ``x``.

    Raises
    ------
    QuakeError
        For uint64.
    """
    dtype = str(x.ty.dtype)
    if "float" not in dtype:
        if dtype == "uint64":
            raise QuakeError("uint64 cannot be ordered; cast it to int64")
        if dtype in ("int32", "int64"):
            return x
        return builder.emit(relax.op.astype(x, "int64" if dtype == "uint32" else "int32"))
    if dtype not in ("float32", "float64"):
        x, dtype = builder.emit(relax.op.astype(x, "float32")), "float32"
    whole = dtype.replace("float", "int")
    last = np.iinfo(whole).max
    of_nan = last if nan_last else -last

    def keys(values: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            value = values(*i)
            value = tirx.Select(value == tirx.const(0, dtype), tirx.const(0, dtype), value)  # -0
            bits = tirx.reinterpret(whole, value)
            key = tirx.Select(bits < 0, tirx.bitwise_xor(bits, tirx.const(last, whole)), bits)
            return tirx.Select(tirx.isnan(value), tirx.const(of_nan, whole), key)

        return te.compute(values.shape, element, name="keys")

    return builder.emit_te(keys, x, primfunc_name_hint="keys")


def top(
    builder: relax.BlockBuilder, x: relax.Expr, k: int | Expr, axis: int, largest: bool
) -> list[relax.Expr]:
    """The k largest or smallest elements along an axis, in order, and their indices.

    Parameters
    ----------
    builder : BlockBuilder
    x : Expr
        A tensor of any dtype but uint64, of known shape.
    k : int or Expr
        An expression must be at least 0, and at most the length of the axis.
    axis : int
    largest : bool
        Whether the largest elements are wanted; otherwise the smallest.

    Returns
    -------
    list of Expr
        The elements, and their int64 indices along the axis.
    """
    keys = order_keys(builder, x)
    if isinstance(k, int):
        places = relax.op.topk(keys, k, axis, ret_type="indices", largest=largest, dtype="int64")
    else:
        order = builder.emit(relax.op.argsort(keys, axis, largest, "int64"))
        shape = list(order.ty.shape)
        shape[axis] = k
        places = builder.call_te(
            lambda order, shape: te.compute(shape, lambda *i: order(*i)), order, shape,
            primfunc_name_hint="slice",
        )  # fmt: skip
    places = builder.emit(places)
    return [builder.emit(relax.op.gather_elements(x, places, axis)), places]
