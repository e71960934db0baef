"""Maxima, minima and their indices with correct results for NaN and infinities.

TVM starts a float maximum at the lowest finite number. So the maximum of nothing but -inf is
-3.4e38 and its index -1, and a NaN is lost if another element follows it. Here maxima start at -inf
and minima at +inf. A NaN stays, as in NumPy and PyTorch. The sign of NaN is NaN. An index is that
of the first NaN, or else of the first extreme. Maxima and minima of integers, and indices in
tensors of truth values, are TVM's own.

One number of a whole tensor would be compared element by element. Such extremes are found along
columns first, which takes vectors, and then among the columns.
"""

import math
from collections.abc import Callable
from functools import partial
from operator import ge, le

import tvm_ffi
from tvm import relax, te

from quake_tvm.schedules import analysis
from quake_tvm.tvm_version import dtype_of, tir

from ..pass_nan import either, number
from .legalize import Legalize

# Columns of a whole tensor: at most, enough for vectors on several cores; at least, a vector.
_MOST, _LEAST = 256, 16


def _float(value: relax.Expr) -> bool:
    return "float" in str(value.ty.dtype)


def _infinite(node: tir.FloatImm) -> tir.FloatImm:
    """Replace a type's lowest or largest finite number by the infinity that it stands for."""
    for end, infinity in ((tir.min_value, -math.inf), (tir.max_value, math.inf)):
        if node.value == end(dtype_of(node)).value:
            return tir.FloatImm(dtype_of(node), infinity)
    return node


def _keep_nan(store: tir.BufferStore) -> tir.BufferStore:
    """One accumulation step that keeps NaN, and the first of several zeros."""
    if not isinstance(store.value, tir.Max | tir.Min):
        return store
    last, element = store.value.a, store.value.b
    return tir.BufferStore(store.buffer, either(type(store.value), last, element), store.indices)


def _reduced(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """TVM's kernel with true infinities as initial values.

    The kernel holds no other constants, so each of these numbers is an initial value.
    """
    emitted = call.op.get_attr("FLegalize")(builder, call)
    if emitted.same_as(call) or not _float(call.args[0]):
        return emitted
    name = emitted.args[0]
    function = builder.get()[name]
    body = tvm_ffi.structural_map(function.body, (tir.BufferStore, _keep_nan))
    body = tvm_ffi.structural_map(body, (tir.FloatImm, _infinite))
    builder.update_func(name, function.with_body(body))
    return emitted


def _extreme(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """The extreme along some axes. Of a whole tensor, that of the extremes of its columns."""
    x, axes = call.args[0], call.attrs.axis
    columns = _columns(builder, x) if axes is None or len(axes) == x.ty.ndim else None
    if columns is None:
        return _reduced(builder, call)
    extreme = relax.op.max if call.op.name == "relax.max" else relax.op.min
    rows = list(range(columns.ty.ndim - 1))
    found = builder.emit(extreme(builder.emit(extreme(columns, axis=rows)), axis=[0]))
    return relax.op.reshape(found, call.ty.shape) if call.attrs.keepdims else found


def _columns(builder: relax.BlockBuilder, x: relax.Expr) -> relax.Expr | None:
    """The tensor with columns as its last axis: its own, or better a width of several vectors.

    None for one row that is short, odd or of unknown length.
    """
    shape = list(x.ty.shape)
    count = analysis.volume(shape)
    width = math.gcd(count or 1, _MOST)
    if count and _LEAST <= width < count and width != shape[-1]:
        return builder.emit(relax.op.reshape(x, (count // width, width)))
    return x if any(n != 1 for n in shape[:-1]) else None


def _index(
    x: te.Tensor,
    axis: int | None,
    keepdims: bool,
    dtype: str,
    first: Callable[[tir.Expr, tir.Expr], tir.Expr],
    worst: tir.Expr,
) -> te.Tensor:
    """The index, along an axis or in the flat tensor, of the first of the best elements.

    Parameters
    ----------
    x : Tensor
    axis : int or None
        None for the flat tensor.
    keepdims : bool
    dtype : str
        Of the index.
    first : callable
        Whether the first of two elements is better than the second, or equal.
    worst : tir.Expr
        The element that is not better than any other.
    """
    axes = list(range(len(x.shape))) if axis is None else [axis % len(x.shape)]

    def better(one: list[tir.Expr], other: list[tir.Expr]) -> tuple[tir.Expr, ...]:
        def choose(a: tir.Expr, b: tir.Expr) -> tir.Expr:
            chosen = tir.Select(first(one[1], other[1]), a, b)
            return tir.Select(number(one[1]), chosen, a) if "float" in str(x.dtype) else chosen

        return tuple(map(choose, one, other))

    reducer = te.comm_reducer(better, lambda *_: (tir.const(0, dtype), worst))
    steps = [te.reduce_axis((0, x.shape[a]), name=f"k{a}") for a in axes]

    def element(*at: tir.Var) -> tuple[tir.Expr, ...]:
        rest = [i for k, i in enumerate(at) if k not in axes] if keepdims else list(at)
        flat = tir.const(0, dtype)
        for a, step in zip(axes, steps, strict=True):
            rest.insert(a, step.var)
            flat = flat * tir.Cast(dtype, x.shape[a]) + tir.Cast(dtype, step.var)
        return reducer((flat, x(*rest)), axis=steps)

    kept = [1] if keepdims else []
    shape = [d for a, n in enumerate(x.shape) for d in (kept if a in axes else [n])]
    index, _ = te.compute(shape, element, name="best")
    return te.compute(shape, lambda *at: index(*at), name="index")


def _worst(dtype: str, largest: bool) -> tir.Expr:
    """The initial value in a search for the largest or the smallest element."""
    if "float" in dtype:
        return tir.const(-math.inf if largest else math.inf, dtype)
    return tir.min_value(dtype) if largest else tir.max_value(dtype)


def _indexed(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, name = call.args[0], call.op.name.removeprefix("relax.")
    if str(x.ty.dtype) == "bool":
        return call.op.get_attr("FLegalize")(builder, call)
    largest = name == "argmax"
    index = partial(
        _index,
        axis=None if call.attrs.axis is None else int(call.attrs.axis),
        keepdims=bool(call.attrs.keepdims),
        dtype=str(call.ty.dtype),
        first=ge if largest else le,
        worst=_worst(str(x.ty.dtype), largest),
    )
    return builder.call_te(index, x, primfunc_name_hint=name)


def _sign(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    if not _float(call.args[0]):
        return call.op.get_attr("FLegalize")(builder, call)

    def sign(x: te.Tensor) -> te.Tensor:
        zero, one = tir.const(0, x.dtype), tir.const(1, x.dtype)

        def element(*at: tir.Var) -> tir.Expr:
            rest = tir.Select(number(x(*at)), zero, x(*at))
            return tir.Select(x(*at) > zero, one, tir.Select(x(*at) < zero, -one, rest))

        return te.compute(x.shape, element, name="sign")

    return builder.call_te(sign, call.args[0], primfunc_name_hint="tir_sign")


RULES: dict[str, Legalize] = {
    **dict.fromkeys(("relax.max", "relax.min"), _extreme),
    **dict.fromkeys((f"relax.nn.max_pool{n}d" for n in (1, 2, 3)), _reduced),
    "relax.vision.roi_pool": _reduced,
    **dict.fromkeys(("relax.argmax", "relax.argmin"), _indexed),
    "relax.sign": _sign,
}
