"""Replace ``quake.choice`` by a feed-forward layer, or by the look-up beside it, as a plan says.

Sites and products are numbered before, in layers and look-ups alike, so that their numbers do not
depend on the choice.
"""

from collections.abc import Collection

import tvm
from tvm import relax

from quake_tvm.errors import QuakeError
from quake_tvm.kernels.choice_operator import CHOICE
from quake_tvm.tvm_version import updated

from .graph import functions, op_name


def choices(mod: tvm.IRModule) -> dict[int, relax.Call]:
    """The choices of a module, by the number of their layer."""
    found: dict[int, relax.Call] = {}

    def see(expr: relax.Expr) -> None:
        if op_name(expr) == CHOICE:
            found[int(expr.attrs["number"])] = expr

    for _, function in functions(mod):
        relax.analysis.post_order_visit(function, see)
    return dict(sorted(found.items()))


def choose(mod: tvm.IRModule, numbers: Collection[int]) -> tvm.IRModule:
    """The module with the look-ups of these numbers, and with all other layers as they are.

    Raises
    ------
    QuakeError
        If the module has no choice of one of these numbers.
    """
    there = choices(mod)
    if missing := sorted(set(numbers) - there.keys()):
        raise QuakeError(
            f"the plan is for another model: it has a look-up {missing[0]}, which is not there; "
            "plan this model anew"
        )
    if not there:
        return mod
    chooser = _Chooser(mod, numbers)
    changed = {
        mod.get_global_var(name.name_hint): relax.analysis.remove_all_unused(
            chooser.visit_expr(function)
        )
        for name, function in functions(mod)
    }
    return relax.transform.CanonicalizeBindings()(updated(mod, changed))


@relax.expr_functor.mutator
class _Chooser(relax.PyExprMutator):
    def __init__(self, mod: tvm.IRModule, numbers: Collection[int]) -> None:
        super().__init__(mod)
        self.numbers = numbers

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """One of the operands of a choice."""
        call = super().visit_call_(call)
        if op_name(call) != CHOICE:
            return call
        return call.args[int(call.attrs["number"]) in self.numbers]
