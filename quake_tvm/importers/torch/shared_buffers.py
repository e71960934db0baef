"""Buffers of a program that share memory, which torch's decomposition cannot take if one changes.

Knows no operator.
"""

import torch
from torch.export.graph_signature import InputKind


def apart(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program with memory of its own for each buffer that it does not use.

    torch lets a program use one name of a buffer that has several.
    """
    shared = _sharing(program)
    unused = {name for name, used in shared.items() if not used}
    if not unused:
        return program
    state, constants = (
        {name: x.clone() if name in unused else x for name, x in held.items()}
        for held in (program.state_dict, program.constants)
    )
    return program._update(
        program.graph_module, program.graph_signature, state_dict=state, constants=constants
    )


def used_together(program: torch.export.ExportedProgram) -> list[str]:
    """The buffers that share memory with another, and that the program uses."""
    return [name for name, used in _sharing(program).items() if used]


def _sharing(program: torch.export.ExportedProgram) -> dict[str, bool]:
    """The buffers whose memory is not theirs alone, and whether the program uses them."""
    nodes = {node.name: node for node in program.graph.nodes}
    held = {**program.state_dict, **program.constants}
    of_memory: dict[int, dict[str, bool]] = {}
    for spec in program.graph_signature.input_specs:
        value = held.get(spec.target) if spec.kind == InputKind.BUFFER else None
        if value is not None and value.numel():
            names = of_memory.setdefault(value.untyped_storage().data_ptr(), {})
            names[spec.target] = bool(nodes[spec.arg.name].users)
    return {
        name: used for names in of_memory.values() if len(names) > 1 for name, used in names.items()
    }
