"""ONNX's ReverseSequence: the first elements of each sequence of a batch in reverse order."""

from tvm import relax, te, tirx

from ...kernels.index_check import Places, checked
from ...kernels.size_check import equal
from .node import Node


def reverse_sequence(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert ReverseSequence. A run checks that no length is negative or exceeds the time axis.

    Raises
    ------
    QuakeError
        If the axes of batch and time are not the first two.
    """
    shape = node.shape()
    time, batch = node.attributes.get("time_axis", 0), node.attributes.get("batch_axis", 1)
    if {time, batch} != {0, 1} or len(shape) < 2:
        raise node.refuse(f"a time axis of {time} and a batch axis of {batch}")
    lengths = checked(
        node.inputs[1],
        [shape[time] + 1],
        Places.FRONT,
        node.operator,
        equal(node.shape(1)[0], shape[batch]),
        problem="a length that is negative or above the extent of the time axis",
    )

    def reversed_(x: te.Tensor, lengths: te.Tensor) -> te.Tensor:
        def element(*at: tirx.Var) -> tirx.Expr:
            length = tirx.Cast("int64", lengths(at[batch]))
            place = tirx.Cast("int64", at[time])
            back = tirx.Select(place < length, length - 1 - place, place)
            return x(*(back if axis == time else k for axis, k in enumerate(at)))

        return te.compute(x.shape, element, name="reversed")

    return builder.call_te(
        reversed_, node.inputs[0], builder.emit(lengths), primfunc_name_hint="reverse_sequence"
    )
