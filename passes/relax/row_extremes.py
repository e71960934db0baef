"""Maxima and minima of float32 along the last axes: kernels over rows, which vectors read.

The maximum and the minimum of one tensor along the same axes, as of DynamicQuantizeLinear, come
from one reading. The rows have a known length; how many there are may be known only to a run. A
whole tensor of known shape has rows too, of neighbouring elements; their extremes are reduced
again. Other extremes stay for :mod:`legalize_extremes`.
"""

import math
from collections import defaultdict

import tvm
from tvm import relax

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.schedules import analysis
from quake_tvm.tvm_version import Pass, tir

from .call_written_out import call_written_out
from .graph import dtype, functions, known_shape, op_name, same_shape
from .legalize import legalize
from .pack_byte_weights import converted_once

_KINDS = {"relax.min": "min", "relax.max": "max"}
# A row of a whole tensor stays in the first-level cache. It, and any other row, has many vectors.
_MOST, _LEAST = 4096, 128


def _rows(call: relax.Call) -> tuple[tir.Expr, int] | None:
    """The number of rows of float32 and their length, if the axes are the last ones.

    None also for a length that only a run knows, and for tensors without elements.
    """
    x = call.args[0]
    if dtype(x) != "float32" or not known_shape(x):
        return None
    shape, given = list(x.ty.shape), call.attrs.axis
    rank = len(shape)
    axes = sorted({int(axis) % rank for axis in (range(rank) if given is None else given)})
    first = rank - len(axes)
    length = analysis.volume(shape[first:])
    if axes != list(range(first, rank)) or not length:
        return None
    count = math.prod(shape[:first], start=tir.const(1, "int64"))
    return None if analysis.constant(count) == 0 else (count, length)


def _taken(mod: tvm.IRModule) -> dict[tuple[relax.Expr, int], set[str]]:
    """The kinds of extremes that are taken of each tensor along so many elements."""
    taken = defaultdict(set)

    def see(expr: relax.Expr) -> None:
        if op_name(expr) in _KINDS and (rows := _rows(expr)):
            taken[expr.args[0], rows[1]].add(_KINDS[expr.op.name])

    for _, function in functions(mod):
        relax.analysis.post_order_visit(function, see)
    return taken


@tvm.transform.module_pass(opt_level=0, name="RowExtremes")
class RowExtremes(Pass):
    """Legalize maxima and minima along the last axes, if those have known extents."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize those of rows that are long enough, and make equal calls one."""
        taken = _taken(mod)

        def rule(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
            x, kind, rows = call.args[0], _KINDS[call.op.name], _rows(call)
            if rows is None:
                return call
            count, length = rows
            kinds = sorted(taken.get((x, length), {kind}))
            whole = analysis.constant(count) == 1
            if whole:
                count, length = length // math.gcd(length, _MOST), math.gcd(length, _MOST)
            if length < _LEAST or analysis.constant(count) == 1:
                return call
            found = _of_rows(builder, x, count, length, kinds)[kinds.index(kind)]
            if whole:
                found = builder.emit((relax.op.min if kind == "min" else relax.op.max)(found))
            return found if same_shape(found, call) else relax.op.reshape(found, call.ty.shape)

        return converted_once(mod, legalize(mod, dict.fromkeys(_KINDS, rule), keep_emitted=True))


def _of_rows(
    builder: relax.BlockBuilder, x: relax.Expr, count: int | tir.Expr, length: int, kinds: list[str]
) -> list[relax.Expr]:
    """The extremes of each row of x, as tensors of shape (count,)."""
    rows = builder.emit(relax.op.reshape(x, (count, length)))
    results = [relax.TensorType([count], "float32")] * len(kinds)
    result = relax.TupleType(results) if len(kinds) > 1 else results[0]
    kernel = KernelSpec("extremes", {"kinds": kinds}, results=len(kinds))
    made = builder.emit(call_written_out(builder, "extremes", kernel, [rows], result))
    if len(kinds) == 1:
        return [made]
    return [builder.emit(relax.TupleGetItem(made, k)) for k in range(len(kinds))]
