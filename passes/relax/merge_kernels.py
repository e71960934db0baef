"""Merge equal kernels.

1. Extents that are computed from others get names (``schedules/named_extents.py``). So layers over
   images of several symbolic sizes have the same kernel.
2. Kernels that differ only in the numbers of their sites become one, with the numbers of all.

Knows no operator.
"""

import tvm
import tvm_ffi

from quake_tvm.schedules.named_extents import named_extents
from quake_tvm.tvm_version import Pass, tir, updated

from . import site_numbers
from .graph import functions


@tvm.transform.module_pass(opt_level=0, name="MergeKernels")
class MergeKernels(Pass):
    """Merge the kernels that differ only in the numbers of their sites and in computed extents."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Name extents, merge kernels that are equal without numbers, redirect the calls."""
        kernels: dict[tvm.ir.GlobalVar, tir.PrimFunc] = {}
        numbers: dict[tvm.ir.GlobalVar, set[int]] = {}
        merged: dict[tvm.ir.GlobalVar, tvm.ir.GlobalVar] = {}
        alike: dict[int, list[tuple[tvm.ir.GlobalVar, tir.PrimFunc]]] = {}
        for name, function in mod.functions_items():
            if not isinstance(function, tir.PrimFunc):
                continue
            kernel = named_extents(site_numbers.without_numbers(function))
            bare = kernel.without_attr("global_symbol")
            rivals = alike.setdefault(tvm_ffi.structural_hash(bare), [])
            same = next((n for n, f in rivals if tvm_ffi.structural_equal(f, bare)), name)
            if same is name:
                rivals.append((name, bare))
                kernels[name], numbers[name] = kernel, set()
            else:
                merged[name] = same
            numbers[same] |= site_numbers.read(function)

        def renumbered(name: tvm.ir.GlobalVar) -> tir.PrimFunc:
            found = numbers[name]
            return site_numbers.listed(kernels[name], found) if found else kernels[name]

        left = {
            n: renumbered(n) if n in kernels else f
            for n, f in mod.functions_items()
            if n not in merged
        }
        result = tvm.IRModule(left, attrs=mod.attrs, global_infos=mod.global_infos)
        if not merged:
            return result

        def other(name: tvm.ir.GlobalVar) -> tvm.ir.GlobalVar:
            return merged.get(name, name)

        redirected = {
            name: tvm_ffi.structural_map(function, (tvm.ir.GlobalVar, other))
            for name, function in functions(mod)
        }
        return updated(result, redirected)
