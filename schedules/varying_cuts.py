"""Keep TVM from splitting a loop of known extent where the place is not constant.

TVM's loop partitioning splits a loop that has its hint at every comparison with the loop's
variable. In ``5 <= w + d`` the place varies with another loop, over d. TVM then cannot order it
with the place of the last iteration's guard, and runs iterations twice: a transposed convolution
summed products twice. Such comparisons are marked, so that the partitioning ignores them. Loops of
unknown extent have no hint any more: see :mod:`guards`. Knows no rule.
"""

import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import dtype_of, tir

from .analysis import PARTITION

_COMPARISONS = (tir.LT, tir.LE, tir.GT, tir.GE, tir.EQ, tir.NE)


def ignore_varying_cuts(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with these comparisons marked."""

    def loop(node: tir.For) -> tir.For:
        if PARTITION not in node.annotations:
            return node
        own = [node.loop_var]
        tvm_ffi.structural_walk(node.body, (tir.For, lambda inner: own.append(inner.loop_var)))
        marks = _Marks(node.loop_var, own)
        body = tvm_ffi.structural_map(node.body, (s_tir.SBlockRealize, marks.in_block))
        if body.same_as(node.body):
            return node
        return tir.For(
            node.loop_var, node.min, node.extent, node.kind, body,
            node.thread_binding, node.annotations, node.step,
        )  # fmt: skip

    body = tvm_ffi.structural_map(function.body, (tir.For, loop))
    return function if body.same_as(function.body) else function.with_body(body)


class _Marks:
    """Marks for the comparisons of one loop's variable with what the loop does not bind.

    Comparisons of floats cut no loop, and :mod:`keep_floats` has to see them.
    """

    def __init__(self, variable: tir.Var, own: list[tir.Var]) -> None:
        self.variable, self.own = variable, own

    def in_block(self, node: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
        """The block with these comparisons marked."""
        values = {
            each.var: _variables(value)
            for each, value in zip(node.block.iter_vars, node.iter_values, strict=True)
        }

        def mark(comparison: tir.Expr) -> tir.Expr:
            if "int" not in dtype_of(comparison.a):
                return comparison
            used = [v for each in _variables(comparison) for v in values.get(each, [each])]
            varies = any(not any(v.same_as(each) for each in self.own) for v in used)
            if not varies or not any(v.same_as(self.variable) for v in used):
                return comparison
            return tir.ignore_loop_partition(comparison)

        old = node.block
        body = tvm_ffi.structural_map(old.body, (_COMPARISONS, mark))
        if body.same_as(old.body):
            return node
        block = s_tir.SBlock(
            old.iter_vars, old.reads, old.writes, old.name_hint, body, old.init,
            old.alloc_buffers, old.match_buffers, old.annotations,
        )  # fmt: skip
        return s_tir.SBlockRealize(node.iter_values, node.predicate, block)


def _variables(expression: tir.Expr) -> list[tir.Var]:
    found: list[tir.Var] = []
    tvm_ffi.structural_walk(expression, (tir.Var, found.append))
    return found
