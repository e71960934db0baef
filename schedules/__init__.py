"""Kernel to scheduled kernel: the first rule that knows a PrimFunc schedules it.

One rule a file (:class:`Rule`); rules of a user's own may come before them. A trace on record for
exactly this kernel comes before all rules. None changes the order in which an output element is
summed up, so a scheduled kernel gives the bits of an unscheduled one, whatever is chosen. Rules see
no graph.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import tvm
from tvm import s_tir

from quake_tvm.tvm_version import Pass, tir

from . import (
    attention,
    depthwise,
    elementwise,
    exact_softmax,
    fallback,
    matmul,
    pooling,
    reduction,
    rows,
)
from .choice import Choice, Decide, Key, TrackedKnobs, rule_default
from .divisors import above_zero
from .fence import fence_products
from .guards import split_at_guards
from .instructions import choose_instructions
from .keep_floats import keep_floats
from .overlap import overlap_tiles
from .records.record import Trace
from .records.trace import replay
from .rule import Rule

RULES = (
    Rule("matmul", matmul.apply),
    Rule("depthwise", depthwise.apply),
    Rule("attention", attention.apply, over_rows=True),
    Rule("rows", rows.apply, over_rows=True),
    Rule("exact_softmax", exact_softmax.apply),
    Rule("elementwise", elementwise.apply),
    Rule("pooling", pooling.apply),
    Rule("reduction", reduction.apply),
    Rule("fallback", fallback.apply),
)
# The attribute that names the rule, for the report.
RULE = "quake.rule"
# That of where its choices are from, if not from the rule.
RECORD = "quake.record"
# What is on record for exactly one kernel, if anything is.
Recorded = Callable[[tir.PrimFunc], Trace | None]

logger = logging.getLogger(__name__)


@tvm.transform.module_pass(opt_level=0, name="ScheduleKernels")
class ScheduleKernels(Pass):
    """Apply the rules to every PrimFunc that is not scheduled yet.

    Parameters
    ----------
    target : tvm.target.Target
    decide : callable
        Answers for the tunable parameters of the rules.
    recorded : callable, optional
        What is on record for exactly a kernel.
    rules : sequence of Rule
        Tried in turn.
    """

    def __init__(
        self,
        target: tvm.target.Target,
        decide: Decide = rule_default,
        recorded: Recorded | None = None,
        rules: Sequence[Rule] = RULES,
    ) -> None:
        self.schedule = partial(
            schedule, target=target, decide=decide, recorded=recorded, rules=rules
        )

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Schedule; functions that no rule takes stay as they are."""
        updates = {}
        for name, function in mod.functions_items():
            if isinstance(function, tir.PrimFunc) and "tirx.is_scheduled" not in function.attrs:
                scheduled = self.schedule(function)
                if scheduled is not None:
                    updates[name] = scheduled
        mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in updates.items():
            mod.update_func(name, function)
        return mod


def schedule(
    function: tir.PrimFunc,
    target: tvm.target.Target,
    decide: Decide = rule_default,
    recorded: Recorded | None = None,
    rules: Sequence[Rule] = RULES,
) -> tir.PrimFunc | None:
    """The function by its trace on record or the first rule that takes it, marked with its name.

    A rule of which TVM refuses a step, because the kernel is not what it looked like, does not
    take it, which is logged.
    """
    fenced = fence_products(function)
    trace = recorded(fenced) if recorded is not None else None
    replayed = replay(fenced, trace) if trace is not None else None
    if replayed is not None:
        done = finished(replayed.mod["main"], target).with_attr("tirx.is_scheduled", True)
        return done.with_attr(RULE, "trace").with_attr(RECORD, "record, same kernel")
    for rule in rules:
        made: list[TrackedKnobs] = []

        def noted(key: Key, made: list[TrackedKnobs] = made) -> Choice:
            made.append(TrackedKnobs(decide(key)))
            return made[-1]

        try:
            result: s_tir.Schedule | None = rule.apply(fenced, target, noted)
        except s_tir.ScheduleError as error:
            logger.warning("the rule %s cannot schedule what it took: %s", rule.name, error)
            continue
        if result is not None:
            done = finished(result.mod["main"], target, over_rows=rule.over_rows)
            done = done.with_attr("tirx.is_scheduled", True).with_attr(RULE, rule.name)
            source = next((choice.source for choice in made if choice.served), "")
            return done.with_attr(RECORD, source) if source else done
    return None


def finished(
    function: tir.PrimFunc, target: tvm.target.Target, over_rows: bool = False
) -> tir.PrimFunc:
    """What every scheduled function still wants: whole tiles, the target's own instructions."""
    done = split_at_guards(overlap_tiles(function))
    return above_zero(keep_floats(choose_instructions(done, target, over_rows=over_rows)))
