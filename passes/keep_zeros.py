"""Keep products with a constant 0, quotients and sums with one, which TVM folds for any operand.

0 times infinity or NaN is NaN, and so is 0/0. The zero has a sign, x/0 is no error, -0 + 0 is 0.
When TVM makes a kernel, it folds a scalar constant in it. It does not fold a tensor of one element,
because the kernel reads that from memory. So the scalar becomes such a tensor.
"""

import numpy as np
import tvm
from tvm import relax

from quake_tvm.tvm_version import Pass

from .graph import Expr, Site
from .relax.graph import Graph, dtype, known_shape, rewrite


def _zero(expr: Expr) -> bool:
    """Whether this is a scalar float constant that is 0."""
    if not isinstance(expr, tvm.ir.GenericConst) or expr.ty.ndim != 0:
        return False
    return "float" in dtype(expr) and float(expr.value.numpy()) == 0


def _negative(zero: Expr) -> bool:
    return bool(np.signbit(zero.value.numpy().astype(np.float32)))


def _folded(kind: str, call: Expr) -> bool:
    """Whether TVM folds a step with a zero, although its result may be another one."""
    if kind in ("multiply", "divide"):
        return any(map(_zero, call.args))
    if kind == "add":
        return any(_zero(arg) and not _negative(arg) for arg in call.args)
    return kind == "subtract" and _zero(call.args[1]) and _negative(call.args[1])


def _find(graph: Graph) -> list[Site]:
    return [
        Site(var, graph.kind(call), tuple(call.args), "", frozenset([var]))
        for var, call in graph.values.items()
        if _folded(graph.kind(call), call) and known_shape(var) and var.ty.ndim > 0
    ]


def _read(site: Site) -> relax.Expr:
    args = [relax.const(a.value.numpy().reshape(1), dtype(a)) if _zero(a) else a for a in site.args]
    return getattr(relax.op, site.operator)(*args)


@tvm.transform.module_pass(opt_level=0, name="KeepZeros")
class KeepZeros(Pass):
    """Turn these scalars into tensors. A module without them is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the products, quotients and sums."""
        return rewrite(mod, _find, _read)
