"""Plan memory once for all sizes in the ranges of dynamic dimensions, if that is not too much.

TVM plans with the upper ends of the ranges. Every run then takes the memory of the largest sizes,
and the runtime's pool does not grow with new sizes. If a size has no upper end, or if this memory
is more than ``MOST`` bytes, each run takes what its own sizes need. Knows no operator.
"""

import math
from collections.abc import Iterator
from typing import Any

import tvm
from tvm import relax, tirx

from quake_tvm.runtime.extent_limits import UPPER, ExtentLimits
from quake_tvm.tvm_version import Pass, updated

from .graph import functions, op_name

MOST = 2**30


def _calls(function: relax.Function, operator: str) -> Iterator[relax.Call]:
    found: list[Any] = []
    relax.analysis.post_order_visit(function, found.append)
    return (e for e in found if op_name(e) == operator)


def _largest(function: relax.Function) -> int:
    """The bytes of the largest tensor, at the upper ends of the ranges."""
    analyzer = tvm.sym.Analyzer()
    ranges = ExtentLimits.of(function).ranges
    for parameter in function.params:
        for variable in relax.analysis.definable_tir_vars_in_type(parameter.ty):
            _, most = ranges.get(variable.name, (0, None))
            if most is not None:
                reach = tvm.ir.Range.from_min_extent(
                    *(tirx.const(n, "int64") for n in (0, most + 1))
                )
                analyzer.bind(variable, reach, allow_override=True)
    sizes = (
        [analyzer.const_int_bound(n).max_value for n in call.args[0].values]
        for call in _calls(function, "relax.builtin.alloc_tensor")
    )
    return max((8 * math.prod(max(n, 1) for n in shape) for shape in sizes), default=0)


def _reserved(function: relax.Function) -> int:
    """The bytes of all memory of constant size in a plan."""
    storages = _calls(function, "relax.memory.alloc_storage")
    sizes = (n for call in storages for n in call.args[0].values)
    return sum(int(n.value) for n in sizes if isinstance(n, tirx.IntImm))


@tvm.transform.module_pass(opt_level=0, name="PlanMemory")
class PlanMemory(Pass):
    """TVM's plan, with the ranges of dynamic dimensions or without them."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Plan all functions."""
        plan = relax.transform.StaticPlanBlockMemory()
        limited = {name: f for name, f in functions(mod) if f.attrs and UPPER in f.attrs}
        # TVM multiplies sizes in 64 bits: the largest tensor is looked at first.
        if all(_largest(f) <= MOST for f in limited.values()):
            planned = plan(mod)
            if all(_reserved(planned[name]) <= MOST for name in limited):
                return planned
        return plan(updated(mod, {name: f.without_attr(UPPER) for name, f in limited.items()}))
