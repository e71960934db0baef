"""Candidates from MetaSchedule's design space, found by its evolutionary search.

MetaSchedule's rules that change the order of summation are left out. Knows no rule of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule import _ffi_api
from tvm.s_tir.meta_schedule.logging import get_logger, get_logging_func

from ..schedules import RULE, finished
from ..schedules.records.trace import sums_in_order, trace_of
from ..schedules.space import Candidate
from ..tvm_version import tir
from .cost_model import FAILED, CostModel

# The size of a population, and the generations between two batches: about a second.
POPULATION, GENERATIONS = 64, 3


def space_generator() -> ms.SpaceGenerator:
    """MetaSchedule's design space: tiling, vectorization, threads and unrolling."""
    rule, postproc, mutator = ms.schedule_rule, ms.postproc, ms.mutator
    return ms.space_generator.PostOrderApply(
        sch_rules=[
            rule.InlineConstantScalars(),
            rule.AutoInline(
                into_producer=False,
                into_consumer=True,
                inline_const_tensor=True,
                disallow_if_then_else=True,
                require_injective=True,
                require_ordered=True,
            ),
            rule.MultiLevelTiling(
                structure="SSRSRS",
                max_innermost_factor=64,
                reuse_write=rule.ReuseType(req="may", levels=[1, 2], scope="global"),
            ),
            rule.ParallelizeVectorizeUnroll(
                max_jobs_per_core=16,
                max_vectorize_extent=64,
                unroll_max_steps=[0, 16, 64, 512],
                unroll_explicit=True,
            ),
            rule.RandomComputeLocation(),
        ],
        postprocs=[
            postproc.DisallowDynamicLoop(),
            postproc.RewriteParallelVectorizeUnroll(),
            postproc.RewriteReductionBlock(),
        ],
        mutator_probs={
            mutator.MutateTileSize(): 0.9,
            mutator.MutateComputeLocation(): 0.05,
            mutator.MutateUnroll(): 0.03,
            mutator.MutateParallel(max_jobs_per_core=16): 0.02,
        },
    )


def search_strategy() -> ms.SearchStrategy:
    """Evolution in small populations: a kernel gets tens of trials, not thousands."""
    return ms.search_strategy.EvolutionarySearch(
        population_size=POPULATION,
        init_measured_ratio=0.3,
        init_min_unmeasured=POPULATION // 2,
        genetic_num_iters=GENERATIONS,
        eps_greedy=0.1,
    )


def context_of(function: tir.PrimFunc, target: tvm.target.Target, seed: int) -> ms.TuneContext:
    """MetaSchedule's tuning context of an unscheduled kernel.

    Parameters
    ----------
    function : PrimFunc
    target : tvm.target.Target
    seed : int

    Returns
    -------
    TuneContext
        With :func:`space_generator` and :func:`search_strategy`.
    """
    mod = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    return _Context(mod, target, 1 + seed % (2**31 - 2))


class _Context(ms.TuneContext):
    """A context that is made by TVM's C++ constructor.

    TVM's own ``__init__`` first imports the tensor intrinsics of all machines, which takes half a
    minute. No design space here uses one.
    """

    def __init__(self, mod: tvm.IRModule, target: tvm.target.Target, seed: int) -> None:
        log = get_logging_func(get_logger(ms.TuneContext.__module__))
        parts = mod, target, space_generator(), search_strategy(), "main", 1, seed, log
        self.__init_handle_by_constructor__(_ffi_api.TuneContext, *parts)
        _ffi_api.TuneContextInitialize(self)


@dataclass(frozen=True)
class Sketch(Candidate):
    """A candidate with MetaSchedule's own name for it, by which MetaSchedule is told its cost."""

    asked: Any = None


class Sketches:
    """MetaSchedule's candidates for one kernel.

    Parameters
    ----------
    function : PrimFunc
        The kernel, with its products fenced.
    context : TuneContext
        The context of the same function.
    own : Candidate
        The rule's default, whose key and other attributes each candidate gets.
    model : CostModel
    trials : int
        The most candidates.
    batch : int
        The most candidates of one batch.
    """

    def __init__(
        self,
        function: tir.PrimFunc,
        context: ms.TuneContext,
        own: Candidate,
        model: CostModel,
        trials: int,
        batch: int,
    ) -> None:
        self._function, self._context, self._own = function, context, own
        self._database = ms.database.MemoryDatabase()
        self._workload = self._database.commit_workload(context.mod)
        context.pre_tuning(trials, batch, None, self._database, model.model)

    def propose(self) -> list[Sketch]:
        """The next batch; empty if the design space is exhausted."""
        proposed = []
        for each in self._context.generate_measure_candidates() or []:
            if not sums_in_order(each.sch):
                continue
            done = finished(each.sch.mod["main"], self._context.target)
            done = done.with_attr(RULE, self._own.function.attrs[RULE])
            proposed.append(
                Sketch(
                    self._own.key,
                    {},
                    done.with_attr("tirx.is_scheduled", True),
                    self._own.layout,
                    trace_of(self._function, each.sch),
                    each,
                )
            )
        return proposed

    def learn(self, batch: Sequence[Sketch], costs: Sequence[float | None]) -> None:
        """Pass the costs of a batch to MetaSchedule; None for a candidate that failed."""
        asked = [candidate.asked for candidate in batch]
        results = [[FAILED if cost is None else cost] for cost in costs]
        for each, seconds in zip(asked, results, strict=True):
            self._database.commit_tuning_record(
                ms.database.TuningRecord(
                    each.sch.trace, self._workload, seconds, self._context.target, each.args_info
                )
            )
        given = [ms.runner.RunnerResult(seconds, None) for seconds in results]
        self._context.notify_runner_results(asked, given)
