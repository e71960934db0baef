"""Sums of products of which one product or a part of the sum overflows.

In a fused multiply-add a product beyond the largest number is no infinity yet, and the parts of a
sum may be added in any order. So infinity, NaN and a finite sum may all be right.
"""

import numpy as np
import onnx

from .writer import FLOATS, Writer

# The operand is made so much smaller that no product of it overflows.
SMALLER = 2.0**-16


def either_sum(w: Writer, node: onnx.NodeProto) -> tuple[str, str, str]:
    """The sums, the sums of a smaller operand made larger again, and where both may be right."""
    x, kind = node.input[0], w.types[node.input[0]]
    out = w.copy(node, x)
    smaller = w.copy(node, w.do("Mul", x, w.value(SMALLER, kind)))
    other = w.do("Mul", smaller, w.value(1 / SMALLER, kind))
    largest = w.value(float(np.finfo(FLOATS[kind]).max), kind)

    def infinite(name: str) -> str:
        return w.do("Less", largest, w.do("Abs", name))

    number = w.do("And", w.do("IsNaN", out), w.do("Not", w.do("IsNaN", smaller)))
    finite = w.do("And", infinite(out), w.do("Not", infinite(other)))
    return out, other, w.do("Or", number, finite)
