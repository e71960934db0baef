"""A kernel that writes slices of a tensor at given places, into the tensor's own memory.

The rest of the tensor is neither read nor copied, so the cost is that of the slices. Knows no
graph: the caller makes sure that nothing else needs the former values.
"""

from collections.abc import Sequence

from ..tvm_version import Expr, tir

WRITE_ALONG = "quake_write_along"


def write_along(
    shape: Sequence[int], axis: int, count: int | Expr, dtype: str, index: str
) -> tir.PrimFunc:
    """``x[.., places[i], ..] = new[.., i, ..]`` for all i, in ascending order.

    Parameters
    ----------
    shape : sequence of int
        The shape of ``x``.
    axis : int
        The axis that the places count along.
    count : int or Expr
        The number of places. They must be within the axis.
    dtype, index : str
        The dtypes of ``x`` and of the places.

    Returns
    -------
    PrimFunc
        Of ``x``, the places (count,), and ``new``, which has the shape of ``x`` but ``count``
        along the axis.
    """
    extents = [count if k == axis else n for k, n in enumerate(shape)]
    x = tir.decl_buffer(shape, dtype, "x")
    places = tir.decl_buffer([count], index, "places")
    new = tir.decl_buffer(extents, dtype, "new")
    at = [tir.Var(f"i{k}", "int64") for k in range(len(extents))]
    to = [tir.Cast("int64", places[i]) if k == axis else i for k, i in enumerate(at)]
    body: tir.Stmt = tir.BufferStore(x, new[tuple(at)], to)
    for i, n in reversed(list(zip(at, extents, strict=True))):
        zero, extent = tir.const(0, "int64"), tir.const(n, "int64") if isinstance(n, int) else n
        body = tir.For(i, zero, extent, tir.ForKind.SERIAL, body)
    function = tir.PrimFunc([x, places, new], body)
    return function.with_attr("tirx.is_scheduled", True).with_attr("op_pattern", 8)
