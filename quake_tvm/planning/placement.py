"""Find the kernel calls that a model's numbered sites end up in.

The model is lowered with every site's number kept, up to its kernels; nothing is built.
"""

from dataclasses import dataclass

import tvm

from ..options import Options
from ..passes.lower_tir import sites_of
from ..passes.relax import site_numbers
from ..passes.relax.graph import kernel_calls
from ..passes.relax.pipeline import Pipeline
from ..passes.relax.view_reshapes import ViewReshapes
from ..tvm_version import tir

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
    lowered, calls = _kernels(mod, target, Options.parse(method, special_values=special_values))
    sites: dict[int, tuple[str, str]] = {}
    for _, function in lowered.functions_items():
        for mark in sites_of(function) if isinstance(function, tir.PrimFunc) else ():
            if mark["site"] > INSIDE:
                sites[mark["site"]] = mark["operator"], mark["shape"]
    placed = [
        frozenset(max(number, INSIDE) for number in site_numbers.read(function))
        for function in calls
    ]
    return Placement(dict(sorted(sites.items())), placed)


def _kernels(
    mod: tvm.IRModule, target: tvm.target.Target, options: Options
) -> tuple[tvm.IRModule, list[tir.PrimFunc]]:
    """The lowered model, and its kernels call by call."""
    passes = Pipeline(target, options)
    with target:
        lowered = passes.upto("lower")(mod)
        fused = ViewReshapes()(passes.between("fuse", "fuse")(lowered))  # views are no kernels
    return lowered, [fused[call.args[0]] for call in kernel_calls(fused["main"])]
