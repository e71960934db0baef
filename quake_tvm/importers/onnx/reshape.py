"""ONNX's Reshape with dynamic extents: the number of elements must not change.

For an extent of -1, TVM divides by a number that may be 0, and ignores the remainder.
"""

from math import prod

import tvm
from tvm import relax, tirx

from ...kernels.index_check import Size
from ...kernels.size_check import Need, Pair, equal, held
from .importer import Node

_PROBLEM = "the tensor does not have as many elements as the shape wants"


def reshape(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Reshape. Static extents, shapes as data and computed shapes are left to TVM.

    Raises
    ------
    QuakeError
        For a shape that never fits.
    """
    data, wanted = node.inputs
    if not isinstance(data.ty, relax.TensorType) or data.ty.shape is None:
        return None
    numbers = _numbers(wanted)
    given = node.shape()
    if numbers is None or all(isinstance(n, int) for n in (*given, *numbers)):
        return None
    copies = not node.attributes.get("allowzero", 0)
    shape: list[Size] = []
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
        shape[unknown[0]], within = _quotient(prod(given), others)
    else:
        within = equal(prod(given), prod(shape))
    if 0 in [n for n in shape if isinstance(n, int)]:  # TVM reads a 0 as "copy the extent"
        none = builder.emit(relax.op.zeros(relax.ShapeExpr(shape), node.dtype()))
        return held(builder, none, [Need(within, node.operator, _PROBLEM)])
    node.require(builder, within, _PROBLEM)
    return relax.op.reshape(node.inputs[0], relax.ShapeExpr(shape))


def _numbers(wanted: relax.Expr) -> list[Size] | None:
    """The target shape as it is given; None if it is computed at run time."""
    if isinstance(wanted, tvm.ir.GenericConst):
        return [int(n) for n in wanted.value.numpy()]
    if isinstance(wanted, relax.ShapeExpr):
        return [getattr(n, "value", n) for n in wanted.values]
    return None


def _quotient(total: Size, others: Size) -> tuple[Size, list[Pair]]:
    """The extent for a -1, and the conditions under which it is right."""
    analyzer = tvm.sym.Analyzer()
    total, others = (tirx.const(1, "int64") * n for n in (total, others))
    least = tirx.max(others, tirx.const(1, "int64"))
    quotient = analyzer.simplify(total // least)
    exact = analyzer.simplify(total // others)
    if analyzer.can_prove_equal(exact * others, total):
        return exact, []
    return quotient, [(1, others), (total % least, 0)]
