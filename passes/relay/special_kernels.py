"""Inside a Relay build: maxima and minima let NaN pass and start at infinities.

TVM's ``max(x, 0)`` is 0 for NaN. With the constant as the first operand NaN passes, at the same
cost. An accumulated maximum starts at -inf instead of the lowest finite number, a minimum at inf.
The index of an extreme starts at the largest integer instead of -1, so that the index of any
element comes before it. Knows no operator: it sees kernels of any, fused, before loops are
vectorized.
"""

import math

import tvm
from tvm import tir

_ENDS = ((tir.min_value, -math.inf), (tir.max_value, math.inf))


def _start(value: tir.PrimExpr) -> tir.PrimExpr:
    """The initial value that replaces one of TVM's.

    An infinity for the lowest or largest finite number of a type, the largest integer for the index
    -1.
    """
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
    """Buffers whose elements are updated to the extreme of themselves and another value."""
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
    """The body of a kernel with its maxima and minima corrected."""
    transform = tir.stmt_functor.ir_transform
    body = transform(body, None, _constant_first, ["tir.Max", "tir.Min"])
    accumulated = _accumulated(body)

    def start(node: tir.BufferStore) -> tir.BufferStore | None:
        if node.buffer not in accumulated:
            return None
        value = _start(node.value)
        if isinstance(value, tir.Max | tir.Min):  # inlined padding
            element = transform(tir.Evaluate(value.b), None, _start, ["FloatImm"]).value
            value = type(value)(value.a, element)
        return tir.BufferStore(node.buffer, value, node.indices)

    return transform(body, None, start, ["tir.BufferStore"]) if accumulated else body
