"""Which kernel a site is in: each site's number is carried from its PrimFunc to its kernel.

1. ``write`` puts the number of a PrimFunc's sites on its blocks, which keep it when TVM fuses them.
   A kernel that TVM fuses with nothing keeps its marks.
2. ``read`` gives the numbers in a kernel.
3. ``MergeKernels`` merges kernels that differ only in their numbers. An attribute of the merged
   kernel lists the numbers of all of them.

Knows Relax, no operator and no schedule.
"""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.tvm_version import Pass, tir, updated

from ..lower_tir import SITES, sites_of
from .graph import functions

# The annotation of a block with one number, and the attribute of a merged kernel with all numbers.
NUMBER, NUMBERS = "quake.site", "quake.site_numbers"


def write(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with site numbers on the blocks of every lowered PrimFunc.

    Sites inside kernels have no number yet. Each PrimFunc with such sites gets one number, from -1
    downwards.
    """
    updates, inside = {}, count(-1, -1)
    for name, function in mod.functions_items():
        marks = sites_of(function) if isinstance(function, tir.PrimFunc) else []
        if not marks:
            continue
        number = marks[0].get("site") or next(inside)
        marked = _with_marks(function, [mark | {"site": number} for mark in marks])

        def annotate(block: s_tir.SBlock, number: int = number) -> s_tir.SBlock:
            if _holds_blocks(block):
                return block
            return _annotated(block, {**block.annotations, NUMBER: number})

        updates[name] = marked if _unfusable(function) else _map_blocks(marked, annotate)
    return updated(mod, updates)


def read(function: tir.PrimFunc) -> frozenset[int]:
    """The numbers of the sites in a kernel."""
    found = {mark["site"] for mark in sites_of(function) if "site" in mark}
    if function.attrs and NUMBERS in function.attrs:
        found |= {int(n) for n in function.attrs[NUMBERS]}

    def see(block: s_tir.SBlock) -> None:
        if NUMBER in block.annotations:
            found.add(int(block.annotations[NUMBER]))

    if not _unfusable(function):
        tvm_ffi.structural_walk(function.body, (s_tir.SBlock, see))
    return frozenset(found)


@tvm.transform.module_pass(opt_level=0, name="MergeKernels")
class MergeKernels(Pass):
    """Merge the kernels that differ only in the numbers of their sites."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Remove the numbers, merge kernels that are then equal, and redirect the calls."""
        kernels: dict[tvm.ir.GlobalVar, tir.PrimFunc] = {}
        numbers: dict[tvm.ir.GlobalVar, set[int]] = {}
        merged: dict[tvm.ir.GlobalVar, tvm.ir.GlobalVar] = {}
        alike: dict[int, list[tvm.ir.GlobalVar]] = {}
        for name, function in mod.functions_items():
            found = read(function) if isinstance(function, tir.PrimFunc) else frozenset()
            if not found:
                continue
            kernel = _without_numbers(function)
            bare = kernel.without_attr("global_symbol")
            rivals = alike.setdefault(tvm_ffi.structural_hash(bare), [])
            same = next(
                (
                    other
                    for other in rivals
                    if tvm_ffi.structural_equal(kernels[other].without_attr("global_symbol"), bare)
                ),
                None,
            )
            if same is None:
                rivals.append(name)
                kernels[name], numbers[name] = kernel, set(found)
            else:
                merged[name] = same
                numbers[same] |= found
        if not kernels:
            return mod
        left = {name: f for name, f in mod.functions_items() if name not in merged}
        left |= {n: kernel.with_attr(NUMBERS, sorted(numbers[n])) for n, kernel in kernels.items()}
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


def _without_numbers(function: tir.PrimFunc) -> tir.PrimFunc:
    marks = [{k: v for k, v in m.items() if k != "site"} for m in sites_of(function)]
    bare = _with_marks(function, marks) if marks else function

    def strip(block: s_tir.SBlock) -> s_tir.SBlock:
        if NUMBER not in block.annotations:
            return block
        return _annotated(block, {k: v for k, v in block.annotations.items() if k != NUMBER})

    return bare if _unfusable(function) else _map_blocks(bare, strip)


def _unfusable(function: tir.PrimFunc) -> bool:
    """Whether this is a written-out kernel. It is never fused, so its marks keep the numbers."""
    return KernelSpec.of(function) is not None


def _with_marks(function: tir.PrimFunc, marks: list[dict]) -> tir.PrimFunc:
    return function.with_attr(SITES, json.dumps(marks))


def _map_blocks(
    function: tir.PrimFunc, change: Callable[[s_tir.SBlock], s_tir.SBlock]
) -> tir.PrimFunc:
    return function.with_body(tvm_ffi.structural_map(function.body, (s_tir.SBlock, change)))


def _holds_blocks(block: s_tir.SBlock) -> bool:
    found: list[s_tir.SBlock] = []
    tvm_ffi.structural_walk(block.body, (s_tir.SBlock, found.append))
    return bool(found)


def _annotated(block: s_tir.SBlock, annotations: dict[str, Any]) -> s_tir.SBlock:
    return s_tir.SBlock(
        block.iter_vars,
        block.reads,
        block.writes,
        block.name_hint,
        block.body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        annotations,
    )
