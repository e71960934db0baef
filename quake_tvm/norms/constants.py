"""The constants that a function computes from constants. Knows no operator."""

import numpy as np
from tvm import relax

from ..passes.relax.fold_constants import FoldConstants
from ..passes.relax.graph import Graph, op_name


def computed(graph: Graph) -> dict[relax.Var, np.ndarray]:
    """The values of a function that depend on constants only.

    They are folded on their own: TVM's pass legalizes all operators that it sees, and refuses some.
    """
    builder = relax.BlockBuilder()
    copies: dict[relax.Var, relax.Var] = {}

    def copied(expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([copied(field) for field in expr.fields])
        return copies.get(expr, expr)

    with builder.function("main", []):
        with builder.dataflow():
            for var, value in graph.values.items():
                if _is_static(value) and all(v in copies for v in relax.analysis.free_vars(value)):
                    args = [copied(arg) for arg in value.args]
                    call = relax.Call(value.op, args, value.attrs, value.ty_args)
                    copies[var] = builder.emit(call)
            result = builder.emit_output(relax.Tuple(list(copies.values())))
        builder.emit_func_output(result)
    if not copies:
        return {}
    folded = FoldConstants()(builder.get())["main"]
    after = Graph(folded)
    results = after.value(folded.body.body)
    values = (after.constant(after.value(field)) for field in results.fields)
    return {var: v for var, v in zip(copies, values, strict=True) if v is not None}


def _is_static(value: relax.Expr) -> bool:
    """Whether this is a call of one of TVM's operators that gives a tensor of known shape."""
    ty = value.ty
    if not op_name(value).startswith("relax.") or not isinstance(ty, relax.TensorType):
        return False
    shape = ty.shape
    return isinstance(shape, relax.ShapeExpr) and all(hasattr(n, "value") for n in shape)
