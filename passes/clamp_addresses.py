"""Addresses that a kernel computes from data stay within the buffer that they point into.

This is the last line of defence. Operators that stop the run at a wrong index have already checked
their indices (:mod:`passes.relax.check_indices`), and their kernels are left unchanged. All other
kernels, such as a module's own kernels and operators on boxes, access the nearest element instead.
Knows no operator.
"""

from typing import Any

import tvm
import tvm_ffi
from tvm.s_tir.stmt import SBlockRealize

from quake_tvm.kernels.index_check import CHECKED
from quake_tvm.kernels.kernel_spec import WRITTEN_OUT
from quake_tvm.tvm_version import Pass, tir, updated

from .lower_tir import SITES

# Attributes of kernels whose indices are checked, and of this library's kernels, whose addresses
# do not depend on data.
_SAFE = {CHECKED, SITES, WRITTEN_OUT}


class _Clamp:
    """Rewrites the addresses of one kernel."""

    def __init__(self, body: tir.Stmt) -> None:
        self._from_data: set[tir.Var] = set()
        known = -1
        while known < len(self._from_data):  # a loop's bound may come from a later statement
            known = len(self._from_data)
            callbacks = [
                (tir.For, self._see_loop),
                ((tir.Bind, tir.Let), self._see_value),
                (SBlockRealize, self._see_block),
            ]
            tvm_ffi.structural_walk(body, callbacks)

    def _see_loop(self, loop: tir.For) -> None:
        if self._is_data(loop.min) or self._is_data(loop.extent):
            self._from_data.add(loop.loop_var)

    def _see_value(self, bind: tir.Bind | tir.Let) -> None:
        if self._is_data(bind.value):
            self._from_data.add(bind.var)

    def _see_block(self, realize: SBlockRealize) -> None:
        for variable, value in zip(realize.block.iter_vars, realize.iter_values, strict=True):
            if self._is_data(value):
                self._from_data.add(variable.var)

    def _is_data(self, expr: tir.Expr) -> bool:
        """Whether an expression depends on loaded values."""
        if isinstance(expr, tir.Var | tir.IntImm):
            return expr in self._from_data
        found: list[bool] = []
        callbacks = [
            (tvm.ir.TensorLoad, lambda _: found.append(True)),
            (tir.Var, lambda variable: found.append(variable in self._from_data)),
        ]
        tvm_ffi.structural_walk(expr, callbacks)
        return any(found)

    def _within(self, index: tir.Expr, size: tir.Expr) -> tir.Expr:
        if not self._is_data(index):
            return index
        last = tir.Cast(index.ty.dtype, size) - 1
        return tir.max(tir.min(index, last), tir.const(0, index.ty.dtype))

    def load(self, load: tvm.ir.TensorLoad) -> Any:
        """The load, with its indices clamped to the buffer."""
        indices = self._all_within(load.source, load.indices)
        return load if indices is None else tir.BufferLoad(load.source, indices)

    def store(self, store: tir.BufferStore) -> tir.Stmt:
        """The store, with its indices clamped to the buffer."""
        indices = self._all_within(store.buffer, store.indices)
        return store if indices is None else tir.BufferStore(store.buffer, store.value, indices)

    def _all_within(self, buffer: tir.Var, indices: Any) -> list[tir.Expr] | None:
        if not any(map(self._is_data, indices)):
            return None
        return [self._within(i, n) for i, n in zip(indices, buffer.ty.shape, strict=True)]


@tvm.transform.module_pass(opt_level=0, name="ClampAddresses")
class ClampAddresses(Pass):
    """Clamp the addresses in every kernel that is not marked as checked, and remove the marks."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the kernels. A kernel without addresses computed from data is unchanged."""
        updates = {}
        for name, function in mod.functions_items():
            if not isinstance(function, tir.PrimFunc):
                continue
            attributes = function.attrs or {}
            if CHECKED in attributes:
                updates[name] = function.without_attr(CHECKED)
            if _SAFE & set(attributes.keys()):
                continue
            clamp = _Clamp(function.body)
            body = tvm_ffi.structural_map(
                function.body, [(tvm.ir.TensorLoad, clamp.load), (tir.BufferStore, clamp.store)]
            )
            if not body.same_as(function.body):
                updates[name] = function.with_body(body)
        return updated(mod, updates)
