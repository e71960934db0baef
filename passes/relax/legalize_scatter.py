"""scatter_elements, also for indices that are shorter than the data along other axes; index_put.

TVM computes positions as if both had the same extents along every axis but one. Its minima and
maxima lose NaN. Its index_put writes equal indices from several cores at once.
"""

from collections.abc import Callable
from math import prod

import tvm_ffi
from tvm import relax, te
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from quake_tvm.kernels.index_check import CHECKED
from quake_tvm.tvm_version import tir

from ..pass_nan import either
from .legalize import Legalize

Combine = Callable[[tir.Expr, tir.Expr], tir.Expr]


def _extreme(extreme: type[tir.Expr]) -> Combine:
    def combine(old: tir.Expr, new: tir.Expr) -> tir.Expr:
        return either(extreme, old, new) if "float" in old.ty.dtype else extreme(old, new)

    return combine


_COMBINE: dict[str, Combine] = {
    "update": lambda _, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "min": _extreme(tir.Min),
    "max": _extreme(tir.Max),
}


def _strides(shape: list[tir.Expr]) -> list[tir.Expr]:
    return [prod(shape[k + 1 :], start=tir.const(1, "int64")) for k in range(len(shape))]


def _scattered(
    data: te.Tensor, indices: te.Tensor, updates: te.Tensor, axis: int, reduction: str
) -> te.Tensor:
    """A scatter that is sequential along the axis and parallel over everything else."""
    shape, counts, given = (
        [tir.Cast("int64", n) for n in t.shape] for t in (data, indices, updates)
    )
    others = [k for k in range(len(shape)) if k != axis]
    combine = _COMBINE[reduction]

    def body(
        data: tir.Buffer, indices: tir.Buffer, updates: tir.Buffer, out: tir.Buffer
    ) -> tir.Stmt:
        x, place, new, y = map(T.buffer_proxy, (data, indices, updates, out))
        with IRBuilder() as builder:
            with T.seq_scope():
                with T.parallel(0, prod(shape, start=tir.const(1, "int64"))) as i:
                    y[i] = x[i]
                lines = prod((counts[k] for k in others), start=tir.const(1, "int64"))
                with T.parallel(0, lines) as line:
                    at, rest = {}, line
                    for k in reversed(others):
                        extent = tir.max(counts[k], 1)  # TVM folds a division by 0
                        at[k], rest = tir.floormod(rest, extent), tir.floordiv(rest, extent)
                    starts = [
                        sum((at[k] * strides[k] for k in others), start=tir.const(0, "int64"))
                        for strides in map(_strides, (counts, given, shape))
                    ]
                    steps = [_strides(extents)[axis] for extents in (counts, given, shape)]
                    with T.serial(0, counts[axis]) as n:
                        index = tir.Cast("int64", place[starts[0] + n * steps[0]])
                        index = tir.Select(index < 0, index + shape[axis], index)
                        to = starts[2] + index * steps[2]
                        y[to] = combine(y[to], new[starts[1] + n * steps[1]])
            return builder.get()

    flat = tir.decl_buffer(data.shape, data.dtype, "out_buf", layout=None)
    return te.extern(
        [data.shape],
        [data, indices, updates],
        lambda ins, outs: body(*ins, *outs),
        dtype=data.dtype,
        out_buffers=[flat],
        name="scatter_elements.generic",
        tag="scatter_elements.generic",
    )


def _scatter_elements(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    reduction = str(call.attrs.reduction)
    if reduction not in _COMBINE:
        return call.op.get_attr("FLegalize")(builder, call)
    axis = int(call.attrs.axis) % call.args[0].ty.ndim
    return builder.call_te(
        _scattered, *call.args, axis, reduction, primfunc_name_hint="scatter_elements"
    )


def _index_put(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """TVM's kernel, but for one core: its indices may be equal, and the last of equal ones counts.

    The copy of the data stays parallel.
    """
    emitted = call.op.get_attr("FLegalize")(builder, call)
    function = builder.get()[emitted.args[0]]
    body = tvm_ffi.structural_map(function.body, (tir.For, _in_order))
    builder.update_func(emitted.args[0], function.with_body(body).with_attr(CHECKED, True))
    return emitted


def _in_order(loop: tir.For) -> tir.For:
    """The loop for one core, unless it writes each element once: where its number says."""
    store = loop.body
    if isinstance(store, tir.BufferStore) and store.indices[0].same_as(loop.loop_var):
        return loop
    return tir.For(
        loop.loop_var, loop.min, loop.extent, tir.ForKind.SERIAL, loop.body, loop.thread_binding,
        loop.annotations, loop.step,
    )  # fmt: skip


RULES: dict[str, Legalize] = {
    "relax.index_put": _index_put,
    "relax.scatter_elements": _scatter_elements,
}
