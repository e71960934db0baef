"""ONNX's Clip, Max and Min with numbers as limits, as operators that the recogniser knows.

TVM's importer makes a kernel of a Clip, and a stack and a reduction of a Max or Min. No pass sees
what these compute.
"""

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
    """Convert Max and Min of a tensor and a number. Others are left to TVM's importer.

    So is a number that is NaN, or 0 in front: passes take the constant of a maximum for a number,
    and put it last, but of two equal zeros the first is the result.
    """
    if len(node.inputs) != 2 or _scalar(node.inputs[0]) == _scalar(node.inputs[1]):
        broadcast(builder, node)
        return None
    first = _scalar(node.inputs[0])
    tensor, limit = reversed(node.inputs) if first else node.inputs
    number = limit.value.numpy()
    if number != number or (first and not number):
        return None
    return builder.emit(_OPERATORS[node.operator](tensor, limit))


def _scalar(limit: relax.Expr) -> bool:
    return isinstance(limit, tvm.ir.GenericConst) and limit.value.numpy().ndim == 0
