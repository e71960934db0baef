"""An ONNX model from its file, with the shapes that it is wanted for. Knows no TVM."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from .errors import QuakeError
from .onnx_fold import all_nodes

Shapes = Mapping[str, Sequence[int]]


def read(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file. Raises QuakeError if there is none or it is something else."""
    path = Path(path)
    if not path.is_file():
        raise QuakeError(f"no such file: {path}")
    try:
        onnx.checker.check_model(path)  # by its path: a ModelProto may not pass 2 GB
        model = onnx.load(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable"
        raise QuakeError(f"{path} is not a valid ONNX model: {reason[:120]}") from None
    if not model.graph.node:
        raise QuakeError(f"{path} is not a valid ONNX model: its graph has no nodes")
    return model


def inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What the caller gives: the graph's inputs that are no constants."""
    constants = {c.name for c in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def is_dynamic(value: onnx.ValueInfoProto) -> bool:
    """Whether any of its dimensions is open."""
    return any(not d.HasField("dim_value") for d in value.type.tensor_type.shape.dim)


def _with_default_domain(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which the standard's domain has one of its two names."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for item in (*copy.opset_import, *all_nodes(copy.graph)):
        if item.domain == "ai.onnx":
            item.domain = ""
    return copy


def with_shapes(model: onnx.ModelProto, shapes: Shapes) -> onnx.ModelProto:
    """A copy with the shapes given, and a name for each dimension left open.

    Raises
    ------
    QuakeError
        For a shape that does not fit.
    """
    model = _with_default_domain(model)
    own = {i.name: i for i in inputs(model)}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in own:
            raise QuakeError(f"the model has no input {name!r}; its inputs: {', '.join(own)}")
        _fix_shape(own[name], [int(n) for n in shape], sizes)
    for name, value in own.items():
        if not value.type.tensor_type.HasField("shape"):
            raise QuakeError(f"the model does not say input {name!r}'s rank: give its shape")
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
            elif not dim.HasField("dim_value") and not dim.dim_param:
                dim.dim_param = f"{name}_{axis}"  # the importer takes all without a name for one
    if shapes:  # what was inferred for the old shapes no longer holds
        del model.graph.value_info[:]
        for output in model.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")
    return model


def _fix_shape(value: onnx.ValueInfoProto, given: list[int], sizes: dict[str, int]) -> None:
    """Give an input its shape; ``sizes`` collects what that says of named dimensions."""
    ty = value.type.tensor_type
    if not ty.HasField("shape"):
        ty.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in given)
    dims = ty.shape.dim
    fixed = [d.dim_value if d.HasField("dim_value") else sizes.get(d.dim_param) for d in dims]
    fits = len(given) == len(dims) and all(
        g >= 0 and f in (None, g) for f, g in zip(fixed, given, strict=True)
    )
    if not fits:
        wanted = ", ".join("?" if f is None else str(f) for f in fixed)
        raise QuakeError(f"shape {tuple(given)} does not fit input {value.name!r} ({wanted})")
    for dim, n in zip(dims, given, strict=True):
        if dim.dim_param:
            sizes[dim.dim_param] = n
        dim.dim_value = n
