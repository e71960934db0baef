"""Where a model's numbered sites end up: in which of its calls of kernels.

The model is lowered with every site's number kept, up to its kernels; nothing is built.
"""

from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, s_tir

from ..approximation import METHODS
from ..compute import SITE
from ..generation import tir
from ..passes.lower_tir import sites_of
from ..passes.pipeline import fusion_passes, lowering_passes
from ..passes.relax_graph import kernel_calls
from .plan import Plan, PlannedSite

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
    mod: tvm.IRModule, target: tvm.target.Target, method: str, special_values: str = "ieee"
) -> Placement:
    """Where the sites of a model are.

    Parameters
    ----------
    mod : IRModule
        As imported.
    target : tvm.target.Target
    method : str
        A rung, on which all of them can be.
    special_values : str
    """
    lowered, calls = _kernels(mod, target, method=method, special_values=special_values)
    sites: dict[int, tuple[str, str]] = {}
    inside = False
    for _, function in lowered.functions_items():
        for mark in sites_of(function) if isinstance(function, tir.PrimFunc) else ():
            if "site" in mark:
                sites[mark["site"]] = mark["operator"], mark["shape"]
            else:
                inside = True
    placed = [_sites_in(function) for function in calls]
    if inside:  # what differs where nothing else is on another rung
        planned = tuple(PlannedSite(n, *site, method) for n, site in sites.items())
        other = next(m for m in METHODS if m != method)
        plan = Plan(planned, other)
        _, others = _kernels(mod, target, plan=plan, special_values=special_values)
        placed = [
            found if tvm_ffi.structural_equal(own, other) else found | {INSIDE}
            for found, own, other in zip(placed, calls, others, strict=True)
        ]
    return Placement(dict(sorted(sites.items())), placed)


def _kernels(
    mod: tvm.IRModule, target: tvm.target.Target, **options: Any
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
