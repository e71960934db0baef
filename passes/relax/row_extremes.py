"""Maxima and minima of float32 along the last axes: kernels over rows, which vectors read.

The maximum and the minimum of one tensor along the same axes, as of DynamicQuantizeLinear, come
from one reading. A whole tensor has rows too, of neighbouring elements; their extremes are reduced
again. Other extremes stay for :mod:`legalize_extremes`.
"""

import math
from collections import defaultdict

import tvm
from tvm import relax

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.schedules import analysis
from quake_tvm.tvm_version import Pass

from .call_written_out import call_written_out
from .graph import dtype, functions, op_name
from .legalize import legalize
from .pack_byte_weights import converted_once

_KINDS = {"relax.min": "min", "relax.max": "max"}
# A row of a whole tensor stays in the first-level cache. It, and any other row, has many vectors.
_MOST, _LEAST = 4096, 128


def _length(call: relax.Call) -> int | None:
    """The elements of a row in a tensor of known shape, if the axes are the last ones."""
    shape = call.args[0].ty.shape
    if dtype(call.args[0]) != "float32" or shape is None or not analysis.volume(list(shape)):
        return None
    rank, given = len(shape), call.attrs.axis
    axes = sorted({int(axis) % rank for axis in (range(rank) if given is None else given)})
    count = len(axes)
    if axes != list(range(rank - count, rank)):
        return None
    return math.prod(_numbers(call.args[0])[rank - count :])


def _numbers(x: relax.Expr) -> list[int]:
    """A known shape."""
    return [int(n) for n in x.ty.shape]


def _taken(mod: tvm.IRModule) -> dict[tuple[relax.Expr, int | None], set[str]]:
    """The kinds of extremes that are taken of each tensor along so many elements."""
    taken = defaultdict(set)

    def see(expr: relax.Expr) -> None:
        if op_name(expr) in _KINDS:
            taken[expr.args[0], _length(expr)].add(_KINDS[expr.op.name])

    for _, function in functions(mod):
        relax.analysis.post_order_visit(function, see)
    return taken


@tvm.transform.module_pass(opt_level=0, name="RowExtremes")
class RowExtremes(Pass):
    """Legalize maxima and minima along the last axes of tensors of known shape."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize those of rows that are long enough, and make equal calls one."""
        taken = _taken(mod)

        def rule(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
            x, kind, length = call.args[0], _KINDS[call.op.name], _length(call)
            if length is None:
                return call
            count = math.prod(_numbers(x))
            whole = length == count
            row = math.gcd(count, _MOST) if whole else length
            if row < _LEAST or row == count:
                return call
            kinds = sorted(taken.get((x, length), {kind}))
            found = _of_rows(builder, x, count // row, row, kinds)[kinds.index(kind)]
            if whole:
                found = builder.emit((relax.op.min if kind == "min" else relax.op.max)(found))
            same = _numbers(found) == _numbers(call)
            return found if same else relax.op.reshape(found, call.ty.shape)

        return converted_once(mod, legalize(mod, dict.fromkeys(_KINDS, rule), keep_emitted=True))


def _of_rows(
    builder: relax.BlockBuilder, x: relax.Expr, count: int, length: int, kinds: list[str]
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
