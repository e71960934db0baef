"""Which outputs of a module share no memory with its inputs, constants or other outputs.

A parameter, a constant, a reshape of either, or a tensor that already is another output shares
memory. A caller that returns it has to copy it.
"""

import tvm
from tvm import relax

from ...kernels.size_check import HELD
from ...tvm_version import tir
from .graph import Graph, op_name

_ALLOCATING = {"relax.call_tir", "relax.call_dps_packed"}
_VIEWS = {HELD, "relax.reshape"}


def owned_outputs(mod: tvm.IRModule) -> list[bool]:
    """For each output of ``main``, nested ones in order: whether it is alone in its memory.

    Parameters
    ----------
    mod : IRModule
        Its operators are lowered to kernels.
    """
    main = mod["main"]
    graph = Graph(main)
    handed_out: set[tuple] = set()

    def owner(value: relax.Expr) -> tuple | None:
        """The variable, and the position in its tuple, whose kernel allocated the memory.

        None if no kernel did.
        """
        variable, place = None, []
        while True:
            if isinstance(value, relax.Var):
                variable, value = value, graph.values.get(value)
            elif isinstance(value, relax.TupleGetItem):
                place.append(value.index)
                value = value.tuple_value
            elif isinstance(value, relax.Tuple):
                value = value.fields[place.pop()]
            elif op_name(value) in _VIEWS:
                value = value.args[0]
            elif op_name(value) == "relax.call_tir" and _is_view(mod[value.args[0]]):
                value = value.args[1].fields[0]
            else:
                return (variable, *place) if op_name(value) in _ALLOCATING else None

    def walk(expr: relax.Expr) -> list[bool]:
        if isinstance(expr.ty, relax.TupleType):
            count = len(expr.ty.fields)
            return [owned for k in range(count) for owned in walk(relax.TupleGetItem(expr, k))]
        found = owner(expr)
        if found is None or found in handed_out:
            return [False]
        handed_out.add(found)
        return [True]

    body = main.body
    return walk(body.body if isinstance(body, relax.SeqExpr) else body)


def _is_view(function: tvm.ir.BaseFunc) -> bool:
    """Whether TVM replaces this kernel by a view of its argument, or may do so."""
    if not isinstance(function, tir.PrimFunc):
        return False
    try:
        return relax.analysis.has_reshape_pattern(function)
    except tvm.error.InternalError:  # TVM fails on sums of symbolic extents
        return True
