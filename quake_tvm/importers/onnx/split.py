"""ONNX's Split: check that the lengths add up to the axis's extent, which TVM does not check."""

from tvm import relax

from ...kernels.size_check import equal
from .importer import Node
from .rewrites.inputs_for_attributes import EQUAL_PARTS


def split(builder: relax.BlockBuilder, node: Node) -> None:
    """Check Split, which TVM's importer converts.

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
    given = node.constant(1)
    lengths = node.attributes.get("split") if given is None else [int(n) for n in given]
    if lengths is not None:
        if len(lengths) != parts or min(lengths, default=0) < 0:
            raise node.refuse(f"lengths of {list(lengths)} for {parts} outputs")
        within = equal(extent, sum(lengths))
        problem = f"the axis does not have the {sum(lengths)} elements of all parts"
    elif EQUAL_PARTS in node.attributes:
        within = equal(extent % parts, 0)
        problem = f"the axis does not divide into {parts} equal parts"
    else:  # the last part may be smaller, or empty
        within = [((extent + parts - 1) // parts * (parts - 1), extent)]
        problem = f"the axis has too few elements for {parts} parts"
    node.require(builder, within, problem)
