"""Schedule kernels: the first rule that accepts a PrimFunc schedules it.

Each file holds one rule (:class:`Rule`). Users may put their own rules before these. A recorded
trace of exactly this kernel comes before all rules. No rule changes the order in which an output
element is accumulated, so a scheduled kernel computes the same bits as an unscheduled one, whatever
is chosen. Rules see no graph.
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
    dot_products,
    elementwise,
    exact_softmax,
    fallback,
    lookup,
    matmul,
    pooling,
    recurrent,
    reduction,
    rows,
    stack_tiles,  # noqa: F401  it enters TVM's build
    winograd,
)
from .borders import cut_borders
from .choice import Choice, Decide, Key, TrackedKnobs, rule_default
from .divisors import above_zero
from .fence import fence_products
from .guards import split_at_guards
from .instructions import choose_instructions
from .keep_floats import keep_floats
from .keep_indices import keep_indices
from .named_extents import named_extents
from .one_row import OneRow
from .overlap import overlap_tiles
from .records.record import Trace
from .records.trace import replay
from .rule import Rule, Scheduled
from .varying_cuts import ignore_varying_cuts
from .versions import Version, joined, with_few

RULES = (
    Rule("matmul", matmul.apply),
    Rule("depthwise", depthwise.apply),
    Rule("winograd", winograd.apply, over_rows=True),
    Rule("attention", attention.apply, over_rows=True),
    Rule("rows", rows.apply, over_rows=True),
    Rule("recurrent", recurrent.apply, over_rows=True),
    Rule("lookup", lookup.apply, over_rows=True),
    Rule("exact_softmax", exact_softmax.apply),
    Rule("elementwise", elementwise.apply),
    Rule("pooling", pooling.apply),
    Rule("reduction", reduction.apply),
    Rule("fallback", fallback.apply),
)
# The PrimFunc attribute with the name of the rule, for the report.
RULE = "quake.rule"
# The PrimFunc attribute with the source of the choices, if they are not the rule's own.
RECORD = "quake.record"
# Looks up the recorded trace of exactly one kernel, None if there is none.
Recorded = Callable[[tir.PrimFunc], Trace | None]

logger = logging.getLogger(__name__)


@tvm.transform.module_pass(opt_level=0, name="ScheduleKernels")
class ScheduleKernels(Pass):
    """Apply the rules to every PrimFunc that is not scheduled yet.

    Parameters
    ----------
    target : tvm.target.Target
    decide : callable
        Takes a kernel's :class:`Key` and returns the :class:`Choice` of its tunable parameters.
    recorded : callable, optional
        Takes an unscheduled kernel and returns its recorded trace, or None.
    rules : sequence of Rule
        Tried in this order.
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
        """Schedule the module's PrimFuncs. Only the indices of what no rule takes are changed."""
        updates = {}
        for name, function in mod.functions_items():
            if not isinstance(function, tir.PrimFunc):
                continue
            known = "tirx.is_scheduled" in function.attrs
            done = None if known else self.schedule(function)
            updates[name] = keep_indices(function) if done is None else done
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
    """Schedule a function by its recorded trace, or by the first rule that takes it.

    A rule may take a kernel and then meet a step that TVM refuses. This is logged, and the next
    rule is tried.

    Parameters
    ----------
    function : PrimFunc
        Not scheduled.
    target : tvm.target.Target
    decide : callable
        Takes a kernel's :class:`Key` and returns the :class:`Choice` of its tunable parameters.
    recorded : callable, optional
        Takes the kernel, its products fenced, and returns its recorded trace, or None.
    rules : sequence of Rule
        Tried in this order.

    Returns
    -------
    PrimFunc or None
        The scheduled function. The attribute ``quake.rule`` names the rule, and ``quake.record``
        the source of the choices if they are not the rule's own. None if no rule takes the
        function.
    """
    fenced = fence_products(named_extents(function))
    trace = recorded(fenced) if recorded is not None else None
    replayed = replay(fenced, trace) if trace is not None else None
    if replayed is not None:
        done = finished(replayed.mod["main"], target).with_attr("tirx.is_scheduled", True)
        return done.with_attr(RULE, "trace").with_attr(RECORD, "record, same kernel")
    row = OneRow.of(fenced)
    kernel = fenced if row is None else row.function
    for rule in rules:
        made: list[TrackedKnobs] = []

        def noted(key: Key, made: list[TrackedKnobs] = made) -> Choice:
            made.append(TrackedKnobs(decide(key)))
            return made[-1]

        try:
            result: Scheduled = rule.apply(kernel, target, noted)
        except s_tir.ScheduleError as error:
            logger.warning("the rule %s cannot schedule what it took: %s", rule.name, error)
            continue
        if result is not None:
            done = _finished(result, target, rule)
            if row is not None:
                done = row.over_images(done)
            done = done.with_attr("tirx.is_scheduled", True).with_attr(RULE, rule.name)
            source = next((choice.source for choice in made if choice.served), "")
            return done.with_attr(RECORD, source) if source else done
    return None


def _finished(
    result: s_tir.Schedule | Sequence[Version], target: tvm.target.Target, rule: Rule
) -> tir.PrimFunc:
    """The function that a rule has scheduled, its versions joined."""
    if isinstance(result, s_tir.Schedule):
        done = finished(result.mod["main"], target, rule.over_rows)
        return done if rule.over_rows else with_few(done)
    return joined(
        [
            (each.when, finished(each.function, target, rule.over_rows, each.given))
            for each in result
        ]
    )


def finished(
    function: tir.PrimFunc,
    target: tvm.target.Target,
    over_rows: bool = False,
    given: tir.Expr | None = None,
) -> tir.PrimFunc:
    """Apply the steps that every scheduled function needs after its rule.

    They make the last tiles whole, split loops at guards, choose the target's instructions and
    protect floats, divisors and indices from TVM's simplifiers.

    Parameters
    ----------
    function : PrimFunc
        Scheduled.
    target : tvm.target.Target
    over_rows : bool
        Whether the kernel's loops along rows are written out (:class:`Rule`).
    given : Expr, optional
        A condition on symbolic extents that holds whenever the function runs.
    """
    done = split_at_guards(overlap_tiles(dot_products.accumulate(function), given))
    done = ignore_varying_cuts(cut_borders(done))
    done = keep_floats(choose_instructions(done, target, over_rows=over_rows))
    return above_zero(keep_indices(done))
