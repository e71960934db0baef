"""ONNX's Clip, Max and Min as operators that the recogniser knows.

TVM's importer makes a kernel of a Clip, and a stack and a reduction of a Max or Min. No pass sees
what these compute.
"""

from collections.abc import Sequence

import numpy as np
import tvm
from tvm import relax

from .fitting import broadcast
from .node import Node

_OPERATORS = {"Max": relax.op.maximum, "Min": relax.op.minimum}


def clip(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Clip. Limits that are computed, or are no scalars, are left to TVM's importer."""
    limits = [node.input(1), node.input(2)]
    if not all(limit is None or _scalar(limit) for limit in limits):
        return None
    value = node.inputs[0]
    for limit, operator, none in zip(limits, _OPERATORS.values(), (-np.inf, np.inf), strict=True):
        if limit is not None:
            number = limit.value.numpy()
            if number != number:  # ONNX Runtime ignores a limit that is NaN
                number = np.full_like(number, none)
            value = builder.emit(operator(value, relax.const(number, str(limit.ty.dtype))))
    return value


def extreme(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Max and Min, one operand after the other.

    A number that is NaN, or 0 in front, is left to TVM's importer: passes take the constant of a
    maximum for a number, and put it last, but of two equal zeros the first is the result.
    """
    broadcast(builder, node)
    if any(x.ty.ndim < 0 for x in node.inputs):
        return None
    values = [_as_number(node.inputs, k) for k in range(len(node.inputs))]
    for k, value in enumerate(values):
        number = value.value.numpy() if _scalar(value) else 1
        if number != number or (k == 0 and not number):
            return None
    operator = _OPERATORS[node.operator]
    result = values[0]
    for value in values[1:]:
        pair = (value, result) if _scalar(result) else (result, value)
        result = builder.emit(operator(*pair))
    return result


def _as_number(operands: Sequence[relax.Expr], k: int) -> relax.Expr:
    """An operand, without its axes if it is a constant of one element and others have as many."""
    value, others = operands[k], [*operands[:k], *operands[k + 1 :]]
    rank = max((x.ty.ndim for x in others), default=0)
    if not isinstance(value, tvm.ir.GenericConst) or value.ty.ndim > rank:
        return value
    number = value.value.numpy()
    return relax.const(number.reshape(()), str(value.ty.dtype)) if number.size == 1 else value


def _scalar(limit: relax.Expr) -> bool:
    return isinstance(limit, tvm.ir.GenericConst) and limit.value.numpy().ndim == 0
