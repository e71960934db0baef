"""Split loops of unknown extent only at the guard of the last, incomplete iteration.

TVM's loop partitioning splits a loop that has its hint at every comparison with the loop's
variable. If the extent is unknown, it cannot order the cuts of two comparisons. It then runs an
iteration twice, the second time in the wrong branch. Without the hint, it splits a loop only at
guards that are marked as likely, so the hint is replaced by such marks. TVM also forgets that an
extent with a maximum or minimum is not negative, and would begin before the first iteration. Loops
with such an extent keep their guards.
"""

import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import tir

from .analysis import PARTITION, PEELED, constant


def split_at_guards(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the hint removed from such loops, and guards marked as likely."""
    found, limited = False, False

    def loop(node: tir.For) -> tir.For:
        nonlocal found, limited
        if PEELED not in node.annotations or constant(node.extent) is not None:
            return node
        found = True
        limited = limited or _has_limits(node.extent)
        kept = {key: value for key, value in node.annotations.items() if key != PARTITION}
        return tir.For(
            node.loop_var, node.min, node.extent, node.kind, node.body,
            node.thread_binding, kept, node.step,
        )  # fmt: skip

    def guard(node: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
        return s_tir.SBlockRealize(node.iter_values, _marked(node.predicate), node.block)

    body = tvm_ffi.structural_map(function.body, (tir.For, loop))
    if not found:
        return function
    if limited:
        return function.with_body(body)
    return function.with_body(tvm_ffi.structural_map(body, (s_tir.SBlockRealize, guard)))


def _has_limits(extent: tir.Expr) -> bool:
    """Whether an extent contains a maximum or a minimum."""
    seen: list[tir.Expr] = []

    def see(node: tir.Expr) -> None:
        seen.append(node)

    for kind in (tir.Max, tir.Min):
        tvm_ffi.structural_walk(extent, (kind, see))
    return bool(seen)


def _marked(predicate: tir.Expr) -> tir.Expr:
    """The predicate with each comparison of the conjunction marked as likely."""
    if isinstance(predicate, tir.And):
        return tir.And(_marked(predicate.a), _marked(predicate.b))
    return predicate if isinstance(predicate, tir.IntImm) else tir.likely(predicate)
