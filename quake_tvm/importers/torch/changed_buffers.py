"""The buffers that a program changes, and the writes that may use a buffer's own memory.

Knows ``index_copy`` as the operator that writes parts of a buffer, and no other operator.
"""

from dataclasses import dataclass

import torch
from torch.export.graph_signature import OutputKind

from ...errors import QuakeError
from ...runtime.state import Initial
from .converter import HALF, dtype_name

# Key of a node's meta: its result may take the memory of its first argument.
IN_PLACE = "quake_in_place"


@dataclass(frozen=True)
class Buffer:
    """A buffer that the program changes.

    Attributes
    ----------
    name : str
    initial : Initial
        Its value before the first run. A buffer of half precision is kept in float32.
    """

    name: str
    initial: Initial


def changed_buffers(program: torch.export.ExportedProgram) -> list[Buffer]:
    """The buffers that a functional program changes, in the order of their new values.

    Marks the writes that may be done in place: those of a buffer whose former value nothing else
    reads.

    Raises
    ------
    QuakeError
        For a complex buffer.
    """
    signature = program.graph_signature
    buffers = {
        spec.target: spec.arg.name for spec in signature.input_specs if spec.target is not None
    }
    nodes = {node.name: node for node in program.graph.nodes}
    values = {**program.state_dict, **program.constants}
    found = []
    for spec in signature.output_specs:
        if spec.kind != OutputKind.BUFFER_MUTATION:
            continue
        value = values[spec.target]
        if value.is_complex():
            raise QuakeError(
                f"the program changes its buffer {spec.target!r} of {value.dtype}; "
                "keep its view_as_real"
            )
        # raises for dtypes that cannot be compiled
        kept = value.float() if dtype_name(value.dtype) in HALF else value
        found.append(Buffer(spec.target, Initial.of(kept.detach().numpy())))
        before, after = nodes[buffers[spec.target]], nodes[spec.arg.name]
        if after.target is torch.ops.aten.index_copy.default and list(before.users) == [after]:
            after.meta[IN_PLACE] = after.args[0] is before and value.dim() != 0
    return found
