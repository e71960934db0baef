"""The dimensions of a model's inputs and outputs, as the importer understands them. Knows no TVM.

Old exporters write -1 for a dimension that is open, and those of IR version 3 and before wrote 0.
The importer takes a dimension's name for a sum or product of others' names where it looks like one.
"""

import re

import onnx

# The last version of the format whose exporters wrote 0 for "any".
_ZERO_IS_OPEN = 3
_NAME = re.compile(r"[A-Za-z_]\w*")
_TWO = re.compile(r"\s*(\w+)\s*(?:[-+*]|//?)\s*(\w+)\s*")


def open_dimensions(model: onnx.ModelProto) -> None:
    """Clear, in place, the numbers that stand for "any"."""
    least = 1 if model.ir_version <= _ZERO_IS_OPEN else 0
    constants = {c.name for c in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if value.name not in constants and dim.HasField("dim_value") and dim.dim_value < least:
                dim.ClearField("dim_value")


def name_dimensions(inputs: list[onnx.ValueInfoProto]) -> None:
    """Give, in place, each open dimension a name that means nothing else.

    A name of two others' names, or of one and a number, as ``past + new``, stays if these are
    dimensions. Anything else that is no identifier becomes one.
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
        if not text:
            dim.dim_param = _unused(f"{name}_{axis}", plain)
        elif text not in plain and not _computed(text, plain):
            if text not in renamed:
                renamed[text] = _unused(text, plain)
            dim.dim_param = renamed[text]


def _computed(text: str, plain: set[str]) -> bool:
    """Whether it is one operation on two dimensions, or on one and a number."""
    two = _TWO.fullmatch(text)
    return (
        two is not None
        and all(part in plain or part.isdecimal() for part in two.groups())
        and any(part in plain for part in two.groups())
    )


def _unused(text: str, plain: set[str]) -> str:
    """An identifier like the text that no dimension has; it is then taken."""
    stem = re.sub(r"\W", "_", text, flags=re.ASCII)
    stem = name = stem if _NAME.match(stem) else f"d_{stem}"
    count = 0
    while name in plain:
        count += 1
        name = f"{stem}_{count}"
    plain.add(name)
    return name
