"""Cumulative sums and products along an axis of a dynamic tensor, without a division.

TVM's kernel loops over all elements and splits each number into indices by dividing by the sizes.
Its simplifier takes exponential time for that. The kernel also writes a first element to lines that
have no elements.
"""

from contextlib import ExitStack

import tvm
from tvm import relax, te
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from quake_tvm.tvm_version import Pass, tir

from .graph import known_shape
from .legalize import UNFUSABLE, Legalize, legalize


def _scanned(x: te.Tensor, axis: int, sums: bool, exclusive: bool, dtype: str) -> te.Tensor:
    """A scan in the order of the elements in memory.

    The first axis runs on all cores if it is not the scanned one.
    """
    shape = list(x.shape)

    def body(x: tir.Buffer, out: tir.Buffer) -> tir.Stmt:
        given, y = map(T.buffer_proxy, (x, out))
        with IRBuilder() as builder:
            with ExitStack() as stack:
                kinds = [T.parallel if axis else T.serial, *[T.serial] * len(shape)]
                loops = (loop(0, n) for loop, n in zip(kinds, shape, strict=False))
                at = [stack.enter_context(loop) for loop in loops]
                before = (*at[:axis], at[axis] - 1, *at[axis + 1 :])
                new = tir.Cast(dtype, given[before if exclusive else tuple(at)])
                first = tir.const(0 if sums else 1, dtype) if exclusive else new
                more = y[before] + new if sums else y[before] * new
                y[tuple(at)] = tir.if_then_else(at[axis] == 0, first, more)
            return builder.get()

    return te.extern(
        [shape], [x], lambda ins, outs: body(ins[0], outs[0]), dtype=dtype, name="scan"
    )


def _scan(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x, axis = call.args[0], call.attrs.axis
    if axis is None or not known_shape(x) or all(isinstance(n, tir.IntImm) for n in x.ty.shape):
        return call
    name = call.op.name.removeprefix("relax.")
    kind, exclusive = str(call.ty.dtype), bool(call.attrs.exclusive)
    axis = int(axis) % x.ty.ndim
    return builder.call_te(
        _scanned,
        x,
        axis,
        name == "cumsum",
        exclusive,
        kind,
        primfunc_name_hint=name,
        primfunc_attrs=UNFUSABLE,
    )


_RULES: dict[str, Legalize] = {"relax.cumsum": _scan, "relax.cumprod": _scan}


@tvm.transform.module_pass(opt_level=0, name="LegalizeScans")
class LegalizeScans(Pass):
    """Legalize dynamic scans before TVM's dispatch, which gets static and flattened tensors."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the scans."""
        return legalize(mod, _RULES)
