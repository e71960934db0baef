"""A model's kernels before scheduling, and how often each runs.

Kernels that differ only in what is fused around them have the same :class:`Key` and form one task:
one record serves them all. Knows no candidate and no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import tvm

from ..options import Options
from ..passes.lower_tir import sites_of
from ..passes.relax.graph import extents_text, kernel_calls
from ..passes.relax.merge_kernels import MergeKernels
from ..passes.relax.pipeline import Pipeline
from ..passes.relax.site_numbers import read
from ..passes.relax.view_reshapes import ViewReshapes
from ..schedules.choice import Key
from ..schedules.records.trace import fingerprint
from ..schedules.space import key_of
from ..tvm_version import tir


@dataclass(frozen=True)
class Site:
    """A lowered nonlinearity in a kernel, named as in reports and records."""

    operator: str
    shape: str

    def __str__(self) -> str:
        return f"{self.operator} {self.shape}"


@dataclass(frozen=True)
class Kernel:
    """One unscheduled PrimFunc with static shapes.

    Attributes
    ----------
    name : str
    function : PrimFunc
    calls : int
        The number of calls in one run of each model.
    hash : str
        Equal for equal code.
    sites : tuple of Site
        The nonlinearities in it.
    """

    name: str
    function: tir.PrimFunc
    calls: int
    hash: str
    sites: tuple[Site, ...] = ()


@dataclass
class Task:
    """The kernels with one key.

    Attributes
    ----------
    key : Key or None
        None for kernels without tunable parameters, which only add to the total time.
    kernels : list of Kernel
    """

    key: Key | None
    kernels: list[Kernel] = field(default_factory=list)


def tasks(mods: Sequence[tvm.IRModule], target: tvm.target.Target, options: Options) -> list[Task]:
    """The tasks of several models together, in the order of their first use.

    Parameters
    ----------
    mods : sequence of IRModule
        As imported.
    target : tvm.target.Target
    options : Options

    Returns
    -------
    list of Task
    """
    distinct: dict[str, Kernel] = {}
    for mod in mods:
        for kernel in kernels(mod, target, options):
            same = distinct.get(kernel.hash)
            if same is not None:
                kernel = replace(same, calls=same.calls + kernel.calls)
            distinct[kernel.hash] = kernel
    by_key: dict[Key | str, Task] = {}
    for kernel in distinct.values():
        key = key_of(kernel.function, target)
        by_key.setdefault(key or kernel.hash, Task(key)).kernels.append(kernel)
    return list(by_key.values())


def kernels(mod: tvm.IRModule, target: tvm.target.Target, options: Options) -> list[Kernel]:
    """All kernels of a model with static shapes.

    Parameters
    ----------
    mod : IRModule
        As imported.
    target : tvm.target.Target
    options : Options
    """
    passes = Pipeline(target, options)
    with target:
        lowered = passes.upto("lower")(mod)
        fused = passes.between("fuse", "fuse")(lowered)
        built = ViewReshapes()(MergeKernels()(fused))  # views cost nothing
    calls: dict[str, int] = {}
    for call in kernel_calls(built["main"]):
        name = call.args[0].name_hint
        calls[name] = calls.get(name, 0) + 1
    sites = _sites(lowered)
    found = []
    for name, count in calls.items():
        function = built[name]
        if _constant(function):
            inside = [site for number in sorted(read(function)) for site in sites[number]]
            distinct = tuple(dict.fromkeys(inside))
            found.append(Kernel(name, function, count, fingerprint(function), distinct))
    return found


def _sites(lowered: tvm.IRModule) -> dict[int, list[Site]]:
    """The sites of each number. Those inside a PrimFunc share one and get its result's shape."""
    found: dict[int, list[Site]] = {}
    for _, function in lowered.functions_items():
        for mark in sites_of(function) if isinstance(function, tir.PrimFunc) else ():
            shape = mark.get("shape") or extents_text(function.params[-1].ty.shape)
            site = Site(mark["operator"], shape)
            found.setdefault(mark["site"], []).append(site)
    return found


def _constant(function: tir.PrimFunc) -> bool:
    return all(
        hasattr(extent, "value") for p in function.params for extent in getattr(p.ty, "shape", [])
    )
