"""ONNX's Reshape with dynamic extents: the number of elements must not change.

For an extent of -1, TVM divides by a number that may be 0, and ignores the remainder.
"""

from math import prod

import tvm
from tvm import relax

from ...kernels.size_check import Need, Pair, equal, held
from .extents import Extent, Extents, expression
from .node import Node

_PROBLEM = "the tensor does not have as many elements as the shape wants"


def reshape(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Reshape. Static extents and shapes computed from data are left to TVM.

    Raises
    ------
    QuakeError
        For a shape that never fits.
    """
    data = node.inputs[0]
    if not isinstance(data.ty, relax.TensorType) or data.ty.shape is None:
        return None
    numbers = node.numbers(1)
    if numbers is None and isinstance(node.inputs[1].ty, relax.TensorType):
        node.constant(1)  # raises if data decide the shape
    given = node.shape()
    if numbers is None or all(isinstance(n, int) for n in (*given, *numbers)):
        return None
    copies = not node.attributes.get("allowzero", 0)
    shape: list[Extent] = []
    for k, number in enumerate(numbers):
        copied = isinstance(number, int) and number == 0 and copies
        if copied and k >= len(given):
            raise node.refuse(f"a 0 in the shape for dimension {k} of {len(given)}")
        shape.append(given[k] if copied else number)
    unknown = [k for k, n in enumerate(shape) if isinstance(n, int) and n < 0]
    if len(unknown) > 1:
        raise node.refuse("more than one -1 in the shape")
    if unknown:
        others = prod(n for k, n in enumerate(shape) if k != unknown[0])
        if isinstance(others, int) and others == 0:
            raise node.refuse("a -1 in the shape beside an extent of 0")
        shape[unknown[0]], within = _quotient(node.extents, prod(given), others)
    else:
        within = [*equal(prod(given), prod(shape)), *((0, n) for n in shape)]
    if 0 in [n for n in shape if isinstance(n, int)]:  # TVM reads a 0 as "copy the extent"
        none = builder.emit(relax.op.zeros(relax.ShapeExpr(shape), node.dtype()))
        return held(builder, none, [Need(within, node.operator, _PROBLEM)])
    node.require(builder, within, _PROBLEM)
    return relax.op.reshape(node.inputs[0], relax.ShapeExpr(shape))


def _quotient(extents: Extents, total: Extent, others: Extent) -> tuple[Extent, list[Pair]]:
    """The extent for a -1, and the conditions under which it is right."""
    # Without bounds, which include 0, the analyzer cancels what both sides have in common.
    analyzer = tvm.sym.Analyzer()
    exact = analyzer.simplify(expression(total) // others)
    if analyzer.can_prove_equal(exact * others, expression(total)):
        return exact, []
    quotient = extents.simplify(expression(total) // extents.most(others, 1))
    return quotient, [(1, others), (expression(total) % extents.most(others, 1), 0)]
