"""The dimensions of a model's inputs and outputs, in the form the importer needs. Knows no TVM.

Old exporters write -1 for an open dimension, and those of IR version 3 and before wrote 0. The
importer reads a dimension's name as a sum or product of other names if it has that form.
"""

import re
from collections.abc import Iterable, Mapping

import onnx

Dimension = onnx.TensorShapeProto.Dimension

# The last version of the format whose exporters wrote 0 for "any".
_ZERO_IS_OPEN = 3
_NAME = re.compile(r"[A-Za-z_]\w*")
_NAMELESS = re.compile(r"\W*|\s*-\d+\s*|None")
_TWO = re.compile(r"\s*(\w+)\s*([-+*]|//?)\s*(\w+)\s*")


def open_dimensions(model: onnx.ModelProto) -> None:
    """Clear, in place, the sizes that mean "any"."""
    least = 1 if model.ir_version <= _ZERO_IS_OPEN else 0
    constants = {c.name for c in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if value.name not in constants and dim.HasField("dim_value") and dim.dim_value < least:
                dim.ClearField("dim_value")


def name_dimensions(inputs: list[onnx.ValueInfoProto]) -> None:
    """Give, in place, each open dimension a unique name that is an identifier.

    A name that is an operation on two names, or on a name and a number, as ``past + new``, is kept
    if these names are dimensions. Any other name that is no identifier is replaced by one.
    """
    dims = [
        (value.name, axis, dim)
        for value in inputs
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if not dim.HasField("dim_value")
    ]
    plain = {dim.dim_param for _, _, dim in dims if _NAME.fullmatch(dim.dim_param)}
    renamed: dict[str, str] = {}
    for name, axis, dim in dims:
        text = dim.dim_param
        if not is_named(dim):
            dim.dim_param = _unused(f"{name}_{axis}", plain)
        elif text not in plain and not _computed(text, plain):
            if text not in renamed:
                renamed[text] = _unused(text, plain)
            dim.dim_param = renamed[text]


def is_named(dim: Dimension) -> bool:
    """Whether a dimension has a name. Some exporters write "?", "-1" or "None" for one without."""
    return _NAMELESS.fullmatch(dim.dim_param) is None


def rename_dimensions(dims: Iterable[Dimension], given: Mapping[str, int | str]) -> None:
    """Give, in place, named dimensions the sizes and names that the mapping has for their names.

    In a name that is an operation on two names, as ``past + new``, both are replaced.
    """
    for dim in dims:
        if dim.dim_param in given:
            set_dimension(dim, given[dim.dim_param])
        elif two := _TWO.fullmatch(dim.dim_param):
            a, operation, b = (str(given.get(part, part)) for part in two.groups())
            if (a, b) != two.group(1, 3):
                dim.dim_param = f"{a} {operation} {b}"


def set_dimension(dim: Dimension, n: int | str) -> None:
    """Give, in place, a dimension a size or a name."""
    if isinstance(n, str):
        dim.dim_param = n
    else:
        dim.dim_value = n


def _computed(text: str, plain: set[str]) -> bool:
    """Whether the text is one operation on two dimensions, or on a dimension and a number."""
    two = _TWO.fullmatch(text)
    return (
        two is not None
        and all(part in plain or part.isdecimal() for part in two.group(1, 3))
        and any(part in plain for part in two.group(1, 3))
    )


def _unused(text: str, plain: set[str]) -> str:
    """An identifier similar to the text that no dimension has. It is added to ``plain``."""
    stem = re.sub(r"\W", "_", text, flags=re.ASCII)
    stem = name = stem if _NAME.match(stem) else f"d_{stem}"
    count = 0
    while name in plain:
        count += 1
        name = f"{stem}_{count}"
    plain.add(name)
    return name
