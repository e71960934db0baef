"""Cut the loops of a padded copy where the padding begins and ends, if sizes are symbolic.

A padded operand is ``if_then_else(1 <= y and y <= h and 1 <= x and x <= w, a[y - 1, x - 1], 0)``.
With constant sizes the compiler cuts its loops itself. With symbolic ones it compares the indices
of each pixel. Here a loop becomes three: in front of the tensor, inside, and behind it. Knows no
target and no rule.
"""

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .segments import threshold
from .tiles import conjuncts, substituted, uses, with_own_values

_BRANCH = tvm.ir.Op.get("prim.if_then_else")


def cut_borders(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the serial loops of padded copies cut at bounds that are symbolic."""

    def cut(loop: tir.For) -> tir.Stmt:  # inner loops are cut by now
        inside = _alone(loop)
        return loop if inside is None else _parts(loop, inside)

    body = tvm_ffi.structural_map(function.body, (tir.For, cut))
    return function if body.same_as(function.body) else function.with_body(body)


def _alone(loop: tir.For) -> s_tir.SBlockRealize | None:
    """The only block in a serial loop, which copies and has a loop of its own along an axis."""
    body = loop.body
    while isinstance(body, tir.For):
        body = body.body
    serial = loop.kind == tir.ForKind.SERIAL and analysis.constant(loop.min) == 0
    if not serial or not isinstance(body, s_tir.SBlockRealize):
        return None
    if uses(body.predicate, loop.loop_var):
        return None
    store = body.block.body
    padded = isinstance(store, tir.BufferStore) and isinstance(store.value, tvm.ir.Call)
    return body if padded and store.value.op.same_as(_BRANCH) else None


def _parts(loop: tir.For, realize: s_tir.SBlockRealize) -> tir.Stmt:
    """The loop in front of the tensor, inside and behind it; or the loop, if there is no cut."""
    place = _along(loop, realize)
    if place is None:
        return loop
    axis, start = place
    index, sizes = realize.block.iter_vars[axis].var, sym.Analyzer()
    store = realize.block.body
    known, rest = [], []
    for condition in conjuncts(store.value.args[0]):
        bound = threshold(condition, index) if uses(condition, index) else None
        if bound is None or any(uses(bound[0], each.var) for each in realize.block.iter_vars):
            rest.append(condition)
        else:
            known.append(bound)
    if not known or any(uses(each, index) for each in rest):
        return loop
    zero = tir.const(0, dtype_of(loop.extent))
    first, last = zero, loop.extent
    for value, is_first in known:
        at = sizes.simplify(tir.max(tir.min(value - start, loop.extent), zero))
        first, last = (tir.max(first, at), last) if is_first else (first, tir.min(last, at))
    first, last = sizes.simplify(first), sizes.simplify(tir.max(first, last))
    if analysis.constant(last) is not None and analysis.constant(loop.extent) is not None:
        return loop
    inside, outside = store.value.args[1:]
    if rest:
        inside = tir.if_then_else(tir.all(*rest), inside, outside)
    ends = (zero, first, outside), (first, last, inside), (last, loop.extent, outside)
    return tir.SeqStmt(
        [
            _segment(loop, realize, begin, sizes.simplify(end - begin), value)
            for begin, end, value in ends
        ]
    )


def _along(loop: tir.For, realize: s_tir.SBlockRealize) -> tuple[int, tir.Expr] | None:
    """The axis of the block that a loop walks alone, and the axis' index where the loop begins."""
    walked = [n for n, value in enumerate(realize.iter_values) if uses(value, loop.loop_var)]
    if len(walked) != 1:
        return None
    value = realize.iter_values[walked[0]]
    steps = sym.detect_linear_equation(value, [loop.loop_var])
    inner, body = [], loop.body
    while isinstance(body, tir.For):
        inner.append(body.loop_var)
        body = body.body
    alone = steps and analysis.constant(steps[0]) == 1
    if not alone or any(uses(steps[1], variable) for variable in inner):
        return None
    return walked[0], steps[1]


def _segment(
    loop: tir.For,
    realize: s_tir.SBlockRealize,
    begin: tir.Expr,
    count: tir.Expr,
    value: tir.Expr,
) -> tir.For:
    """The loop over some of its iterations, where the block stores this value."""
    variable = tir.Var(str(loop.loop_var.name), dtype_of(loop.loop_var))
    old = realize.block
    fresh = [tir.IterVar(v.dom, str(v.var.name), v.iter_type) for v in old.iter_vars]
    names = [(a.var, b.var) for a, b in zip(old.iter_vars, fresh, strict=True)]
    store = tir.BufferStore(old.body.buffer, value, old.body.indices)
    block = s_tir.SBlock(
        fresh,
        [substituted(read, names) for read in old.reads],
        [substituted(write, names) for write in old.writes],
        old.name_hint,
        with_own_values(substituted(store, names)),
        None,
        [],
        [],
        old.annotations,
    )

    def renewed(body: tir.Stmt) -> tir.Stmt:
        if isinstance(body, tir.For):
            own = tir.Var(str(body.loop_var.name), dtype_of(body.loop_var))
            inner = substituted(renewed(body.body), [(body.loop_var, own)])
            return tir.For(
                own, body.min, body.extent, body.kind, inner, body.thread_binding,
                body.annotations, body.step,
            )  # fmt: skip
        return s_tir.SBlockRealize(body.iter_values, body.predicate, block)

    inner = substituted(renewed(loop.body), [(loop.loop_var, begin + variable)])
    return tir.For(
        variable, tir.const(0, dtype_of(count)), count, tir.ForKind.SERIAL, inner, None,
        loop.annotations, loop.step,
    )  # fmt: skip
