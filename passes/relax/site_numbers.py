"""Which kernel a site is in: each site's number is carried from its PrimFunc to its kernel.

1. ``write`` puts the number of a PrimFunc's sites on its blocks, which keep it when TVM fuses them.
   A kernel that TVM fuses with nothing keeps its marks.
2. ``read`` gives the numbers in a kernel.
3. ``without_numbers`` removes them, and ``listed`` lists the numbers of all the kernels that became
   one.

Knows Relax, no operator and no schedule.
"""

import json
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.tvm_version import tir, updated

from ..lower_tir import SITES, sites_of

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


def without_numbers(function: tir.PrimFunc) -> tir.PrimFunc:
    """The kernel without the numbers of its sites."""
    marks = [{k: v for k, v in m.items() if k != "site"} for m in sites_of(function)]
    bare = _with_marks(function, marks) if marks else function

    def strip(block: s_tir.SBlock) -> s_tir.SBlock:
        if NUMBER not in block.annotations:
            return block
        return _annotated(block, {k: v for k, v in block.annotations.items() if k != NUMBER})

    return bare if _unfusable(function) else _map_blocks(bare, strip)


def listed(function: tir.PrimFunc, numbers: Iterable[int]) -> tir.PrimFunc:
    """The kernel with an attribute that lists the numbers of its sites."""
    return function.with_attr(NUMBERS, sorted(numbers))


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
