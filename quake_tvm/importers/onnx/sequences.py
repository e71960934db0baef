"""ONNX's operators on sequences, which are tuples in Relax. Positions must be constants.

TVM appends an element at position -1, which stands before the last one, splits in equal parts
instead of chunks of one size, and cannot count from the end of a sequence that a kernel made.
"""

from tvm import relax

from ...kernels.size_check import equal
from .node import Node
from .split import pieces


def at(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert SequenceAt. Raises QuakeError as :func:`_position` does."""
    parts = _parts(builder, node)
    return parts[_position(node, 1, len(parts))]


def erase(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert SequenceErase. Raises QuakeError as :func:`_position` does."""
    parts = _parts(builder, node)
    place = _position(node, 1, len(parts)) if node.input(1) is not None else -1
    del parts[place]
    return relax.Tuple(parts)


def insert(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert SequenceInsert. Raises QuakeError as :func:`_position` does."""
    parts = _parts(builder, node)
    count = len(parts)
    place = _position(node, 2, count, count) if node.input(2) is not None else count
    parts.insert(place, node.inputs[1])
    return relax.Tuple(parts)


def length(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert SequenceLength."""
    return relax.const(len(_parts(builder, node)), "int64")


def concat_from(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert ConcatFromSequence."""
    parts, axis = _parts(builder, node), node.attributes["axis"]
    if node.attributes.get("new_axis", 0):
        parts = [builder.emit(relax.op.expand_dims(part, axis)) for part in parts]
    return relax.op.concat(parts, axis)


def split_to(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert SplitToSequence.

    Raises
    ------
    QuakeError
        For lengths that are computed at run time or never fit, and for chunks of an axis whose
        extent is not known.
    """
    shape, axis = node.shape(), node.attributes.get("axis", 0)
    if not -len(shape) <= axis < len(shape):
        raise node.refuse(f"an axis of {axis} for {len(shape)} dimensions")
    extent, given = shape[axis], node.constant(1)
    if given is not None and given.ndim:
        lengths = [int(n) for n in given]
    else:
        size = 1 if given is None else int(given)
        if not isinstance(extent, int):
            raise node.refuse("chunks of an axis whose extent varies; give shapes for the inputs")
        if size < 1:
            raise node.refuse(f"chunks of {size} elements")
        lengths = [min(size, extent - k) for k in range(0, extent, size)]
    if min(lengths, default=0) < 0:
        raise node.refuse(f"lengths of {lengths}")
    node.require(builder, equal(extent, sum(lengths)), "the lengths do not add up to the axis's")
    found = pieces(builder, node, axis, lengths)
    if given is None and not node.attributes.get("keepdims", 1):
        found = [builder.emit(relax.op.squeeze(piece, [axis])) for piece in found]
    return relax.Tuple(found)


def _parts(builder: relax.BlockBuilder, node: Node) -> list[relax.Expr]:
    """The tensors of the sequence."""
    sequence = node.inputs[0]
    if isinstance(sequence, relax.Tuple):
        return list(sequence.fields)
    count = len(sequence.ty.fields)
    return [builder.emit(relax.TupleGetItem(sequence, k)) for k in range(count)]


def _position(node: Node, index: int, count: int, most: int | None = None) -> int:
    """A place in a sequence of so many tensors, counted from its front.

    Raises
    ------
    QuakeError
        If it is computed at run time, or no place of the sequence.
    """
    place, most = int(node.required(index).reshape(())), count - 1 if most is None else most
    if not -count <= place <= most:
        raise node.refuse(f"position {place} in a sequence of {count}")
    return place % count if place < 0 else place
