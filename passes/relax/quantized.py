"""Quantized tensors in a Relax function: integers of 8 bits with a scale and a zero point.

Also how the passes on them rewrite a module. Knows no operator that reads such tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator

from quake_tvm.tvm_version import updated

from .graph import dtype, functions, known_shape, op_name

BYTES = ("int8", "uint8")


@dataclass(frozen=True)
class Quantized:
    """A real tensor: ``scale * (x - zero)``.

    Attributes
    ----------
    x : Expr
        int8 or uint8.
    scale, zero : Expr
        Tensors of one element, or of one for each place along ``axis``.
    axis : int
    """

    x: relax.Expr
    scale: relax.Expr
    zero: relax.Expr
    axis: int

    @property
    def whole(self) -> bool:
        """Whether one scale and one zero point hold for the whole tensor."""
        return single(self.scale) and single(self.zero)


def single(expr: relax.Expr) -> bool:
    """Whether this is a tensor of one element."""
    return known_shape(expr) and all(getattr(n, "value", 0) == 1 for n in expr.ty.shape)


def number(expr: relax.Expr) -> float | None:
    """The value of a constant of one element, None for other expressions."""
    known = constant(expr)
    return known.item() if known is not None and known.size == 1 else None


def constant(expr: relax.Expr) -> np.ndarray | None:
    """The value of a constant, None for other expressions."""
    return expr.value.numpy() if isinstance(expr, tvm.ir.GenericConst) else None


def dequantized(call: Any) -> Quantized | None:
    """What a call of dequantize reads, if these are bytes and the result is float32."""
    if op_name(call) != "relax.dequantize" or str(call.attrs.out_dtype) != "float32":
        return None
    x, scale, zero = call.args
    if dtype(x) not in BYTES or not known_shape(x) or dtype(scale) != "float32":
        return None
    return Quantized(x, scale, zero, int(call.attrs.axis) % max(x.ty.ndim, 1))


def factored(x: relax.Expr, call: Any) -> tuple[relax.Expr, float]:
    """A value and the constant number that it is multiplied by, 1 if there is none.

    Parameters
    ----------
    x : Expr
    call
        What x is bound to.
    """
    if op_name(call) == "relax.multiply":
        for value, factor in (call.args, reversed(call.args)):
            known = number(factor)
            if known is not None:
                return value, known
    return x, 1.0


def rewritten(
    mod: tvm.IRModule, operator: str, mutator: Callable[[tvm.IRModule], PyExprMutator]
) -> tvm.IRModule:
    """The module with the functions that call an operator rewritten.

    Parameters
    ----------
    mod : IRModule
    operator : str
        The full name.
    mutator : callable
        Takes the module. What nothing reads after its changes is removed.
    """
    updates = {}
    for name, function in functions(mod):
        present: set[str] = set()
        relax.analysis.post_order_visit(function, lambda e, seen=present: seen.add(op_name(e)))
        if operator in present:
            changed = mutator(mod).visit_expr(function)
            updates[name] = relax.analysis.remove_all_unused(changed)
    return updated(mod, updates)
