"""Where a model's numbered sites end up: in which of its calls of kernels.

The model is lowered with every site's number kept, up to its kernels; nothing is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, s_tir

from ..compute import SITE
from ..generation import tir
from ..passes.lower_tir import sites_of
from ..passes.pipeline import fusion_passes, lowering_passes
from ..passes.relax_graph import kernel_calls

# Stands for all exponentials that are found only inside kernels.
INSIDE = 0


@dataclass(frozen=True)
class Placement:
    """The sites of a model, and its kernels' calls in the order of execution.

    Attributes
    ----------
    sites : dict of number to (operator, shape)
        Those that can be lowered.
    calls : list of frozenset of int
        For each call of a kernel the sites in it.
    """

    sites: dict[int, tuple[str, str]]
    calls: list[frozenset[int]]


def placement(
    mod: tvm.IRModule, target: tvm.target.Target, options: Mapping[str, Any]
) -> Placement:
    """Where the sites of a model are.

    Parameters
    ----------
    mod : IRModule
        As imported.
    target : tvm.target.Target
    options : mapping
        Those of :class:`quake_tvm.QuAKE`, a method among them.
    """
    lowered, calls = _kernels(mod, target, options)
    sites: dict[int, tuple[str, str]] = {}
    inside = False
    for _, function in lowered.functions_items():
        for mark in sites_of(function) if isinstance(function, tir.PrimFunc) else ():
            if "site" in mark:
                sites[mark["site"]] = mark["operator"], mark["shape"]
            else:
                inside = True
    placed = [_sites_in(function) for function in calls]
    if inside:  # what differs on another rung, and has no number
        _, others = _kernels(mod, target, {**options, "method": "exact"})
        placed = [
            found or frozenset([INSIDE] if not tvm_ffi.structural_equal(own, other) else [])
            for found, own, other in zip(placed, calls, others, strict=True)
        ]
    return Placement(dict(sorted(sites.items())), placed)


def _kernels(
    mod: tvm.IRModule, target: tvm.target.Target, options: Mapping[str, Any]
) -> tuple[tvm.IRModule, list[tir.PrimFunc]]:
    """The lowered model, and its kernels call by call."""
    views = relax.transform.RewriteDataflowReshape()  # which are no kernels
    with target:
        lowering = lowering_passes(target, **options, numbered=True)
        lowered = tvm.transform.Sequential(lowering)(mod)
        fused = tvm.transform.Sequential([*fusion_passes(target), views])(lowered)
    return lowered, [fused[call.args[0]] for call in kernel_calls(fused["main"])]


def _sites_in(function: tir.PrimFunc) -> frozenset[int]:
    """Written-out kernels have marks, which fusion drops; others have annotated blocks."""
    found = {mark["site"] for mark in sites_of(function) if "site" in mark}

    def see(block: s_tir.SBlock) -> None:
        if SITE in block.annotations:
            found.add(int(block.annotations[SITE]))

    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, see))
    return frozenset(found)
