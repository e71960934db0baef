"""Measure what every allowed rung costs at each site, so that ``max_error`` picks the best rung.

Outside of the first-level cache all rungs cost the same, and the most accurate one is free. Knows
kernels and a runner, no search.
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import tvm

from ..numerics.ladder import METHODS
from ..options import Options
from ..schedules import schedule
from ..schedules.choice import Choice
from ..schedules.repack import panel_width, repacked
from ..tvm_version import tir
from .kernels import kernels
from .runner import Runner
from .state import Work

ROUNDS = 9
# {site: {rung: cost}}.
Costs = dict[str, dict[str, float]]


def of_works(
    works: Sequence[Work],
    mods: Iterable[tvm.IRModule],
    target: tvm.target.Target,
    options: Options,
    runner: Runner,
) -> Iterator[tuple[Work, Costs]]:
    """Yield each task that has sites, with the cost of every allowed rung at its sites.

    A kernel differs between rungs only in its formulas. So it is timed with the best tunable
    parameters on all rungs, or with the rule's defaults if the best is a trace of MetaSchedule,
    which fits the formulas of one rung only.

    Parameters
    ----------
    works : sequence of Work
    mods : iterable of IRModule
        The models, as imported.
    target : tvm.target.Target
    options : Options
        With ``max_error``.
    runner : Runner
    """
    ladder = _ladder(mods, target, options)
    for work in works:
        found: Costs = {}
        for kernel in work.task.kernels:
            costs = _costs(work, ladder.get(kernel.hash, {}), target, runner)
            found |= {str(site): costs for site in kernel.sites if costs}
        if found:
            yield work, found


def _ladder(
    mods: Iterable[tvm.IRModule], target: tvm.target.Target, options: Options
) -> dict[str, dict[str, tir.PrimFunc]]:
    """Each kernel with sites, by its hash, on every rung that all of its sites allow."""
    found: dict[str, dict[str, tir.PrimFunc]] = {}
    for mod in mods:
        reference = [k for k in kernels(mod, target, options) if k.sites]
        for method in METHODS:
            rung = partial(_if_allowed, method)
            others = {k.name: k for k in kernels(mod, target, replace(options, rung=rung))}
            for kernel in reference:
                other = others.get(kernel.name)
                allowed = all(method in options.allowed(site.operator) for site in kernel.sites)
                if allowed and other is not None and other.sites == kernel.sites:
                    found.setdefault(kernel.hash, {})[method] = other.function
    return found


def _if_allowed(method: str, operator: str, shape: str, allowed: Sequence[str]) -> str | None:
    return method if method in allowed else None


def _costs(
    work: Work, by_rung: Mapping[str, tir.PrimFunc], target: tvm.target.Target, runner: Runner
) -> dict[str, float]:
    found, numbers = list(by_rung.values()), {}
    if work.choice is not None and work.choice.trace is None:
        numbers = work.choice.numbers
        # The parameters assume that the weights are packed in the layout of the best candidate.
        found = [repacked(f, work.choice.layout) if panel_width(f) else f for f in found]
    scheduled = [schedule(function, target, lambda _: Choice(numbers)) for function in found]
    timed = runner.compare(scheduled, ROUNDS) if scheduled else []
    return {m: statistics.median(t) for m, t in zip(by_rung, timed, strict=True) if t}
