"""Exclusive or of truth values as a comparison of bytes.

In a vector, TVM's code generator represents loaded truth values as bytes and computed ones as bits.
LLVM has no exclusive or of the two.
"""

from tvm import relax, te, topi

from .legalize import Legalize


def _differ(x: te.Tensor, y: te.Tensor) -> te.Tensor:
    return topi.not_equal(topi.cast(x, "int8"), topi.cast(y, "int8"))


def _xor(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    return builder.call_te(_differ, *call.args, primfunc_name_hint="tir_logical_xor")


RULES: dict[str, Legalize] = {"relax.logical_xor": _xor}
