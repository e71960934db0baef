"""Loops of unknown length are split at their guard only.

TVM's loop partitioning takes every comparison with the variable of a loop that bears its hint. Of
the cuts of two comparisons it does not know which comes first, where the length is unknown, and
then runs a step twice: the second time with the wrong branch. A guard marked as likely is the one
comparison that it takes in a loop without the hint. It also forgets that a maximum or minimum is
not negative, and would begin before the first step: loops with such a length keep their guards.
"""

import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import tir

from .analysis import PARTITION, PEELED, constant


def split_at_guards(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the hint taken from such loops, and guards marked instead."""
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
    """Whether a maximum or a minimum is in it."""
    seen: list[tir.Expr] = []

    def see(node: tir.Expr) -> None:
        seen.append(node)

    for kind in (tir.Max, tir.Min):
        tvm_ffi.structural_walk(extent, (kind, see))
    return bool(seen)


def _marked(predicate: tir.Expr) -> tir.Expr:
    """Each comparison of a conjunction marked as likely."""
    if isinstance(predicate, tir.And):
        return tir.And(_marked(predicate.a), _marked(predicate.b))
    return predicate if isinstance(predicate, tir.IntImm) else tir.likely(predicate)
