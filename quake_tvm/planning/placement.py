"""Find the kernel calls that contain a model's numbered sites.

The model is lowered with each site's number kept as an annotation, until it consists of kernels.
Nothing is built.
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

# The number that stands for all exponentials that appear only inside kernels.
INSIDE = 0


@dataclass(frozen=True)
class Placement:
    """The sites of a model, and its kernel calls in the order of execution.

    Attributes
    ----------
    sites : dict of number to (operator, shape)
        The sites that can be lowered.
    calls : list of frozenset of int
        For each kernel call the numbers of the sites in it.
    """

    sites: dict[int, tuple[str, str]]
    calls: list[frozenset[int]]


def placement(
    mod: tvm.IRModule, target: tvm.target.Target, method: str, special_values: str = "ieee"
) -> Placement:
    """The kernel calls of each site of a model.

    Parameters
    ----------
    mod : IRModule
        As imported.
    target : tvm.target.Target
    method : str
        A rung that all sites can be lowered to.
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
    """The lowered model, and the kernel of each call."""
    passes = Pipeline(target, options)
    with target:
        lowered = passes.upto("lower")(mod)
        fused = ViewReshapes()(passes.between("fuse", "fuse")(lowered))  # views are not kernels
    return lowered, [fused[call.args[0]] for call in kernel_calls(fused["main"])]
