"""Kernel to scheduled kernel: the first rule that knows a PrimFunc schedules it.

A rule is ``apply(func, target, tunable) -> Schedule | None`` in the manner of TVM's dlight, one a
file, None for "not mine". No rule changes the order in which an output element is summed up, so a
scheduled kernel gives the bits of an unscheduled one. Rules see no graph.
"""

import tvm
from tvm import s_tir

from quake_tvm.generation import tir

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
from .fence import fence_products
from .fuse_products import fuse_products
from .instructions import choose_instructions
from .overlap import overlap_tiles

RULES = (
    matmul,
    depthwise,
    attention,
    rows,
    exact_softmax,
    elementwise,
    pooling,
    reduction,
    fallback,
)
# The attribute that names the rule, for the report.
RULE = "quake.rule"


@tvm.transform.module_pass(opt_level=0, name="ScheduleKernels")
class ScheduleKernels:
    """Apply the rules to every PrimFunc that is not scheduled yet."""

    def __init__(self, target: tvm.target.Target) -> None:
        self.target = target

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Schedule; functions that no rule takes stay as they are."""
        updates = {}
        for name, function in mod.functions_items():
            if isinstance(function, tir.PrimFunc) and "tirx.is_scheduled" not in function.attrs:
                scheduled = schedule(function, self.target)
                if scheduled is not None:
                    updates[name] = scheduled
        mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in updates.items():
            mod.update_func(name, function)
        return mod


def schedule(function: tir.PrimFunc, target: tvm.target.Target) -> tir.PrimFunc | None:
    """The function scheduled by the first rule that takes it, marked with the rule's name.

    A rule whose step TVM refuses, because the kernel is not what it looked like, does not take it.
    """
    fenced = fence_products(function)
    for rule in RULES:
        try:
            result: s_tir.Schedule | None = rule.apply(fenced, target, False)
        except s_tir.ScheduleError:
            continue
        if result is not None:
            name = rule.__name__.rpartition(".")[2]
            done = fuse_products(overlap_tiles(result.mod["main"]), target)
            done = choose_instructions(done, target, over_rows=rule in (rows, attention))
            return done.with_attr("tirx.is_scheduled", True).with_attr(RULE, name)
    return None
