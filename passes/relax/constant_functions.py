"""Functions without parameters, by which a compiled module tells the runtime about itself.

Knows no operator.
"""

import tvm
from tvm import relax

from quake_tvm.runtime.large_pages import NOT_SMALL, WEIGHTS, size_of

from .graph import functions


def returning(name: str, value: relax.Expr) -> relax.Function:
    """A function of this name that returns a constant value."""
    builder = relax.BlockBuilder()
    with builder.function(name, []):
        builder.emit_func_output(value)
    return builder.get()[name]


def with_weights(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with a function :data:`WEIGHTS` that returns its constants but the small ones."""
    found: list[tvm.ir.GenericConst] = []

    def visit(expr: relax.Expr) -> None:
        value = expr.value if isinstance(expr, tvm.ir.GenericConst) else None  # also of a dtype
        if isinstance(value, tvm.runtime.Tensor) and size_of(value) >= NOT_SMALL:
            found.append(expr)

    for _, function in functions(mod):
        relax.analysis.post_order_visit(function, visit)
    copy = tvm.IRModule(mod.functions, attrs=mod.attrs)
    copy[WEIGHTS] = returning(WEIGHTS, relax.Tuple(found))
    return copy
