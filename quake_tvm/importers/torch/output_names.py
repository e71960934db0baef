"""The names of a program's outputs: keys of a dictionary or fields of a dataclass, if it has them.

Knows no operator.
"""

import torch
from torch.export.graph_signature import ConstantArgument, OutputKind
from torch.utils import _pytree as pytree


def output_names(program: torch.export.ExportedProgram) -> list[str]:
    """The names in the order of the outputs, without those that are None.

    Parameters
    ----------
    program : torch.export.ExportedProgram

    Returns
    -------
    list of str
        Nested keys are joined by dots. An output without a key is ``output_0``, by its place.
    """
    specs = [
        spec for spec in program.graph_signature.output_specs if spec.kind == OutputKind.USER_OUTPUT
    ]
    structure = program.call_spec.out_spec
    if structure is None or structure.num_leaves != len(specs):
        paths: list[tuple[object, ...]] = [()] * len(specs)
    else:
        tree = pytree.tree_unflatten(range(len(specs)), structure)
        paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    kept = [
        path
        for path, spec in zip(paths, specs, strict=True)
        if not (isinstance(spec.arg, ConstantArgument) and spec.arg.value is None)
    ]
    return [_name(path) or f"output_{place}" for place, path in enumerate(kept)]


def _name(path: tuple[object, ...]) -> str:
    """The keys of a path; empty if it has only positions."""
    if not any(isinstance(key, pytree.MappingKey | pytree.GetAttrKey) for key in path):
        return ""
    return ".".join(str(_key(key)) for key in path)


def _key(key: object) -> object:
    if isinstance(key, pytree.SequenceKey):
        return key.idx
    return getattr(key, "key", getattr(key, "name", key))
