"""ONNX's Split: check that the lengths add up to the axis's extent, which TVM does not check.

TVM converts it, unless an extent or a length varies or a part is empty. Of an axis of unknown
extent TVM does not see that a part has its length.
"""

from collections.abc import Sequence

from tvm import relax

from ...kernels.size_check import equal
from .extents import FAR, Extent
from .node import Node
from .rewrites.inputs_for_attributes import EQUAL_PARTS
from .slices import Range, kept


def split(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Check Split, and convert it where TVM cannot.

    Raises
    ------
    QuakeError
        For lengths that are computed at run time, and for lengths that never fit.
    """
    shape = node.shape()
    axis = node.attributes.get("axis", 0)
    if not -len(shape) <= axis < len(shape):
        raise node.refuse(f"an axis of {axis} for {len(shape)} dimensions")
    extent, parts = shape[axis], node.outputs
    lengths = node.numbers(1)
    if lengths is None:
        node.constant(1)  # raises if data decide the lengths
        lengths = node.attributes.get("split")
    if lengths is not None:
        whole = [n for n in lengths if isinstance(n, int)]
        if len(lengths) != parts or min(whole, default=0) < 0:
            raise node.refuse(f"lengths of {list(lengths)} for {parts} outputs")
        within = [*equal(extent, sum(lengths)), *((0, n) for n in lengths)]
        problem = f"the axis does not have the {sum(lengths)} elements of all parts"
    elif EQUAL_PARTS in node.attributes:
        within = equal(extent % parts, 0)
        problem = f"the axis does not divide into {parts} equal parts"
    else:  # the last part may be smaller, or empty
        within = [((extent + parts - 1) // parts * (parts - 1), extent)]
        problem = f"the axis has too few elements for {parts} parts"
    node.require(builder, within, problem)
    if lengths is None or all(isinstance(n, int) and n > 0 for n in (extent, *lengths)):
        return None
    return relax.Tuple(pieces(builder, node, axis, lengths))


def pieces(
    builder: relax.BlockBuilder, node: Node, axis: int, lengths: Sequence[Extent]
) -> list[relax.Expr]:
    """The first input's parts of these lengths along an axis."""
    shape, found = node.shape(), []
    for k, length in enumerate(lengths):
        ranges: list[Range | None] = [None] * len(shape)
        ranges[axis] = Range(sum(lengths[:k]), FAR, 1)
        wanted = [*shape]
        wanted[axis] = length
        found.append(builder.emit(kept(builder, node, ranges, wanted)))
    return found
