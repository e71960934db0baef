"""Run TVM's LegalizeOps for some operators only. All other operators are left as they are."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache

import tvm
from tvm import relax

from .graph import functions, op_name

# TVM's kOutEWiseFusable: following operators may be fused into it. TVM's kOpaque: nothing may.
FUSABLE, UNFUSABLE = {"op_pattern": 4}, {"op_pattern": 8}
Legalize = Callable[[relax.BlockBuilder, relax.Call], relax.Expr]


def legalize(
    mod: tvm.IRModule, rules: Mapping[str, Legalize], keep_emitted: bool = False
) -> tvm.IRModule:
    """The module with the named operators legalized by these functions.

    Parameters
    ----------
    mod : IRModule
    rules : mapping of str to callable
        Maps an operator's name to its legalization. A legalization may emit operators that the
        module did not contain: these are legalized too, by TVM if no rule is for them.
    keep_emitted : bool
        Whether TVM leaves such operators as they are.
    """
    present: set[str] = set()
    for _name, function in functions(mod):
        relax.analysis.post_order_visit(function, lambda e: present.add(op_name(e)))
    present.discard("")
    if not present & rules.keys():
        return mod
    others = sorted((present | (_tvms().keys() if keep_emitted else set())) - rules.keys())
    return relax.transform.LegalizeOps(orderly(rules), skip_ops=others)(mod)


def orderly(rules: Mapping[str, Legalize]) -> dict[str, Legalize]:
    """These legalizations, and TVM's own for other operators, wrapped to clean up after an error.

    If one fails, the builder's open blocks are ended. Otherwise the builder prints a message to
    standard error when it is destroyed.
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
            with suppress(tvm.error.InternalError):  # raised once no block is open
                while True:
                    builder._end_block()
            raise

    return run
