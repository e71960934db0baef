"""Inside a Relay build: maxima and minima with constants let NaN pass, and start at infinities.

TVM's ``max(x, 0)`` is 0 for NaN; with the constant first it costs the same and NaN passes. A
maximum that is accumulated starts at -inf instead of the lowest finite number, a minimum at inf,
and the index of one at the last there is instead of -1, so that any element's comes before it.
Knows no operator: it sees kernels of any, fused, before loops are vectorized.
"""

import math

import tvm
from tvm import tir

_ENDS = ((tir.min_value, -math.inf), (tir.max_value, math.inf))


def _start(value: tir.PrimExpr) -> tir.PrimExpr:
    """The infinity for which a type's lowest or largest finite number stands; no index for -1."""
    if isinstance(value, tir.IntImm) and value.value == -1:
        return tir.max_value(value.dtype)
    if isinstance(value, tir.FloatImm):
        for end, infinity in _ENDS:
            if value.value == end(value.dtype).value:
                return tir.FloatImm(value.dtype, infinity)
    return value


def _constant_first(node: tir.Max | tir.Min) -> tir.PrimExpr | None:
    second = isinstance(node.b, tir.FloatImm) and not isinstance(node.a, tir.FloatImm)
    return type(node)(node.b, node.a) if second else None


def _accumulated(body: tir.Stmt) -> set[tir.Buffer]:
    """Buffers whose elements become the larger, or smaller, of themselves and something else."""
    found: set[tir.Buffer] = set()

    def see(node: tvm.Object) -> None:
        if not isinstance(node, tir.BufferStore):
            return
        value, last = node.value, None
        if isinstance(value, tir.Max | tir.Min):
            last = value.a
        elif isinstance(value, tir.Select):
            last = value.true_value
        if isinstance(last, tir.BufferLoad) and last.buffer.same_as(node.buffer):
            found.add(node.buffer)

    tir.stmt_functor.post_order_visit(body, see)
    return found


def special(body: tir.Stmt, _: tvm.target.Target) -> tir.Stmt:
    """A kernel's body with its extremes so."""
    transform = tir.stmt_functor.ir_transform
    body = transform(body, None, _constant_first, ["tir.Max", "tir.Min"])
    accumulated = _accumulated(body)

    def start(node: tir.BufferStore) -> tir.BufferStore | None:
        if node.buffer not in accumulated:
            return None
        value = _start(node.value)
        if isinstance(value, tir.Max | tir.Min):  # padding, inlined
            element = transform(tir.Evaluate(value.b), None, _start, ["FloatImm"]).value
            value = type(value)(value.a, element)
        return tir.BufferStore(node.buffer, value, node.indices)

    return transform(body, None, start, ["tir.BufferStore"]) if accumulated else body
