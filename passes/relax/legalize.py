"""TVM's LegalizeOps for some operators only: every other that was there stays as it is."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache

import tvm
from tvm import relax

from .graph import functions, op_name

# TVM's kOutEWiseFusable: what follows may be fused behind it. Its kOpaque: nothing is fused.
FUSABLE, UNFUSABLE = {"op_pattern": 4}, {"op_pattern": 8}
Legalize = Callable[[relax.BlockBuilder, relax.Call], relax.Expr]


def legalize(mod: tvm.IRModule, rules: Mapping[str, Legalize]) -> tvm.IRModule:
    """The module with the named operators legalized by these functions.

    What these emit themselves of operators that were not there, TVM legalizes too.
    """
    present: set[str] = set()
    for _name, function in functions(mod):
        relax.analysis.post_order_visit(function, lambda e: present.add(op_name(e)))
    present.discard("")
    wanted = {name: rule for name, rule in rules.items() if name in present}
    if not wanted:
        return mod
    others = sorted(present - wanted.keys())
    return relax.transform.LegalizeOps(orderly(wanted), skip_ops=others)(mod)


def orderly(rules: Mapping[str, Legalize]) -> dict[str, Legalize]:
    """These rules, and TVM's own for all other operators, ending the builder's blocks if they fail.

    A builder that is dropped with open blocks complains on standard error.
    """
    return {name: _orderly(rule) for name, rule in {**_tvms(), **rules}.items()}


@cache
def _tvms() -> dict[str, Legalize]:
    operators = map(tvm.ir.Op.get, tvm.ir.Op.list_op_names())
    found = {op.name: op.get_attr("FLegalize") for op in operators if op.name.startswith("relax.")}
    return {name: rule for name, rule in found.items() if rule is not None}


def _orderly(rule: Legalize) -> Legalize:
    def run(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        try:
            return rule(builder, call)
        except BaseException:
            with suppress(tvm.error.InternalError):  # there is none any more
                while True:
                    builder._end_block()
            raise

    return run
