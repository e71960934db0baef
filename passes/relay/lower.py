"""How Relay's TVM computes and schedules the ``quake`` operators.

Element-wise operators are tensor expressions with TVM's own injective schedules, so that they fuse
with operators before and after. Operators over rows are the same written-out kernels as on Relax. A
tuner can schedule only tensor expressions, so it gets them in that form.
"""

from collections.abc import Callable

import tvm
from tvm import relay, te, tir
from tvm.auto_scheduler import is_auto_scheduler_enabled
from tvm.meta_schedule import is_meta_schedule_enabled
from tvm.relay.op import op as registry
from tvm.relay.op.strategy.generic import schedule_injective

from quake_tvm.kernels import compute, tensor_rows
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.options import Options
from quake_tvm.passes.relay import tensor_rows_schedule

from ..graph import Site
from ..site_attrs import SiteAttrs
from . import decided, lower_c, tunable_kernels
from .fit_vectors import fit_tensor, for_c
from .graph import Graph, rewrite
from .ops import attributes_of, declared, operator_of, read
from .ops import call as quake_call

Compute = Callable[[tvm.ir.Attrs, list[te.Tensor], relay.Type], list[te.Tensor]]


def _compute(operator: str, target: tvm.target.Target) -> Compute:
    """The function that computes the operator for a target, from the call's attributes."""

    def computed(attrs: tvm.ir.Attrs, inputs: list[te.Tensor], _: relay.Type) -> list[te.Tensor]:
        options = SiteAttrs.from_attrs(read(attrs)).options()
        if OPERATORS[operator].elementwise:
            return [compute.elementwise(inputs[0], operator, **options)]
        if _for_tuner(inputs[0]):
            return [getattr(tensor_rows, operator)(*inputs, **options)]
        return [fit_tensor(getattr(compute, operator)(*inputs, **options), target)]

    return computed


def _for_tuner(x: te.Tensor) -> bool:
    """Whether the kernel is for a tuner.

    Tuners do not take shapes that are known only at run time.
    """
    asked = is_meta_schedule_enabled() or is_auto_scheduler_enabled()
    return asked and all(isinstance(n, tir.IntImm) for n in x.shape)


def _schedule_rows(
    _: tvm.ir.Attrs, outs: list[te.Tensor], target: tvm.target.Target
) -> te.Schedule:
    schedule = te.create_schedule([out.op for out in outs])
    if any(isinstance(stage.op, te.ExternOp) for stage in schedule.stages):
        return schedule  # written out, so there is nothing to schedule
    return tensor_rows_schedule.schedule(outs, target)


def _schedule_element_wise(
    attrs: tvm.ir.Attrs, outs: list[te.Tensor], target: tvm.target.Target
) -> te.Schedule:
    if not for_c(target):
        return schedule_injective(attrs, outs, target)
    schedule = te.create_schedule([out.op for out in outs])
    te.schedule.AutoInlineInjective(schedule)
    return schedule


def _strategy(operator: str) -> tvm.target.GenericFunc:
    schedule = _schedule_element_wise if OPERATORS[operator].elementwise else _schedule_rows

    @tvm.target.override_native_generic_func(f"quake_{operator}_strategy")
    def strategy(
        attrs: tvm.ir.Attrs, inputs: list[te.Tensor], out: relay.Type, target: tvm.target.Target
    ) -> relay.op.OpStrategy:
        chosen = relay.op.OpStrategy()
        chosen.add_implementation(_compute(operator, target), schedule, name=f"quake_{operator}")
        return chosen

    return strategy


def _register_strategies() -> None:
    for name in OPERATORS:
        op = declared(name)
        if op.get_attr("FTVMStrategy") is None:
            registry.register_strategy(op.name, _strategy(name))


_register_strategies()
decided.install()
lower_c.install()
tunable_kernels.install()


def _axis_last(mod: tvm.IRModule) -> tvm.IRModule:
    """Transpose so that operators over rows run along the last axis, and transpose back."""

    def find(graph: Graph) -> list[Site]:
        found = []
        for key, call in graph.values.items():
            operator = operator_of(call)
            if operator is None or OPERATORS[operator].elementwise:
                continue
            x, attributes = call.args[0], attributes_of(call)
            shape = graph.shape(x)
            if shape is not None and attributes.axis != len(shape) - 1:
                found.append(Site(key, operator, (x,), "", frozenset([key]), attributes.to_attrs()))
        return found

    def make(site: Site) -> relay.Call:
        (x,), axis = site.args, site.attributes["axis"]
        rank = len(x.checked_type.shape)
        order = [*range(axis), *range(axis + 1, rank), axis]
        result = quake_call(
            site.operator, relay.transpose(x, order), **site.attributes | {"axis": rank - 1}
        )
        if not site.attributes.get("keepdims", True):
            return result
        return relay.transpose(result, [order.index(k) for k in range(rank)])

    return rewrite(mod, find, make)


def lower(mod: tvm.IRModule, _: Options) -> tvm.IRModule:
    """Bring the module's ``quake`` operators into a form that the strategies can compute."""
    _register_strategies()  # for operators that users have registered since the import
    return _axis_last(mod)
