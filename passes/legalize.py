"""TVM's LegalizeOps for some operators only: every other that was there stays as it is."""

from collections.abc import Callable, Mapping

import tvm
from tvm import relax

from .relax_graph import functions, op_name

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
    return relax.transform.LegalizeOps(customize_legalize_map=wanted, skip_ops=others)(mod)
