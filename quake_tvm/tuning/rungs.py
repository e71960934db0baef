"""What every allowed rung costs at each site, so that ``max_error`` can be met at the best price.

Outside the first-level cache all rungs cost the same: then the most accurate one is free. Knows
kernels and a runner, no search.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tvm

from ..approximation import METHODS
from ..generation import tir
from ..operators import OPERATORS, bound
from ..schedules import schedule
from ..schedules.choice import Choice
from .kernels import Site, kernels
from .runner import Runner
from .state import Work

ROUNDS = 9
# {site: {rung: cost}}.
Costs = dict[str, dict[str, float]]


def allowed(max_error: float) -> dict[str, list[str]]:
    """The rungs within ``max_error``, by operator."""
    return {name: [m for m in METHODS if bound(name, m).error <= max_error] for name in OPERATORS}


def of_works(
    works: Sequence[Work],
    mods: Iterable[tvm.IRModule],
    target: tvm.target.Target,
    options: Mapping[str, Any],
    runner: Runner,
) -> dict[int, Costs]:
    """For each of the works with sites, by its place, what they cost on the allowed rungs.

    A kernel is the same on all rungs but for its formulas: it is timed with the same choices.

    Parameters
    ----------
    works : sequence of Work
    mods : iterable of IRModule
        The models, as imported.
    target : tvm.target.Target
    options : mapping
        Those of :class:`quake_tvm.QuAKE`, ``max_error`` among them.
    runner : Runner
    """
    rungs = allowed(options["max_error"])
    base = {k: v for k, v in options.items() if k not in ("max_error", "method")}
    own = {work.kernel.hash: n for n, work in enumerate(works)}
    found: dict[int, dict[str, tir.PrimFunc]] = {}
    sites: dict[int, tuple[Site, ...]] = {}
    for mod in mods:
        reference = kernels(mod, target, options)
        for method in METHODS:
            for kernel, other in zip(
                reference, kernels(mod, target, {**base, "method": method}), strict=True
            ):
                place = own.get(kernel.hash)
                within = all(method in rungs[site.operator] for site in kernel.sites)
                if place is not None and kernel.sites and within:
                    found.setdefault(place, {})[method] = other.function
                    sites[place] = kernel.sites
    return {
        place: {str(site): costs for site in sites[place]}
        for place, by_rung in found.items()
        if (costs := _costs(works[place], by_rung, target, runner))
    }


def _costs(
    work: Work, by_rung: Mapping[str, tir.PrimFunc], target: tvm.target.Target, runner: Runner
) -> dict[str, float]:
    numbers = work.choice.numbers if work.choice is not None else {}
    scheduled = [schedule(f, target, lambda _: Choice(numbers)) for f in by_rung.values()]
    timed = runner.compare(scheduled, ROUNDS)
    return {m: statistics.median(t) for m, t in zip(by_rung, timed, strict=True) if t}
