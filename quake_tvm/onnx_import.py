"""From an ONNX model to a Relax module that TVM can compile.

Fixes the inputs' shapes, expands operators TVM's importer lacks into the functions the ONNX
standard defines them by (Celu, Swish, ...), folds the subgraphs that compute shapes, imports.
Knows nothing of nonlinearities.
"""

import contextlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import tvm
from onnx import helper, inliner, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator
from tvm.relax.frontend.onnx import from_onnx, onnx_frontend

from .errors import QuakeError

# A folded constant larger than this would cost more to store than to compute.
MAX_FOLDED = 65536
# Dropout is random when it trains.
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"} | {
    "Multinomial", "Bernoulli", "Dropout"
}  # fmt: skip
# The importer goes by an operator's name alone: these are the domains it means.
_DOMAINS = ("", "com.microsoft")
# The importer gives these float32 constants, whatever the input's type.
_FLOAT32_ONLY = {"Elu", "Selu"}
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


def to_relax(model: onnx.ModelProto, shapes: Shapes | None = None) -> tvm.IRModule:
    """Import a model.

    Parameters
    ----------
    model : onnx.ModelProto
    shapes : mapping of input name to shape, optional
        Static shapes for inputs whose dimensions are symbolic in the model. Dimensions left
        symbolic stay so in the module.

    Raises
    ------
    QuakeError
        For a shape that does not fit, or an operator TVM cannot import.
    """
    model = _with_shapes(_with_default_domain(model), shapes or {})
    model = _expand_functions(model)
    _check_operators(model)
    model = fold_shapes(_sums_as_additions(model))
    sizes = {
        i.name: [d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in _inputs(model)
        if not _is_dynamic(i)
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the importer prints what it raises
            return from_onnx(
                model, shape_dict=sizes, keep_params_in_input=False, sanitize_input_names=False
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
        dynamic = [i.name for i in _inputs(model) if _is_dynamic(i)]
        if dynamic:
            example = ", ".join(f"{name}=..." for name in dynamic)
            raise QuakeError(
                f"TVM cannot import this model with dynamic dimensions ({reason}); "
                f"give shapes for: {example}"
            ) from None
        raise QuakeError(f"TVM's ONNX importer failed: {reason}") from error


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The graph's nodes, those of branches and loop bodies included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)


def _check_operators(model: onnx.ModelProto) -> None:
    known = {*onnx_frontend._get_convert_map(), "Constant", "If"}
    unknown = {
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for node in _nodes(model.graph)
        if node.op_type not in known or node.domain not in _DOMAINS
    }
    if unknown:
        raise QuakeError(
            f"TVM cannot import these ONNX operators: {', '.join(sorted(unknown))}; "
            "replace them in the model, or import it yourself and pass the IRModule"
        )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {c.name for c in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def _is_dynamic(value: onnx.ValueInfoProto) -> bool:
    return any(not d.HasField("dim_value") for d in value.type.tensor_type.shape.dim)


def _with_default_domain(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which the standard's domain has one of its two names."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for item in (*copy.opset_import, *_nodes(copy.graph)):
        if item.domain == "ai.onnx":
            item.domain = ""
    return copy


def _with_shapes(model: onnx.ModelProto, shapes: Shapes) -> onnx.ModelProto:
    """The model, changed in place: the shapes given, and a name for each dimension left open."""
    inputs = {i.name: i for i in _inputs(model)}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in inputs:
            raise QuakeError(f"the model has no input {name!r}; its inputs: {', '.join(inputs)}")
        _fix_shape(inputs[name], [int(n) for n in shape], sizes)
    for name, value in inputs.items():
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


def _expand_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inline the model's own functions, and the standard's for operators the importer lacks."""
    expanded: set[tuple[str, str]] = set()
    while True:
        names = {(f.domain, f.name) for f in model.functions} | _with_function(model)
        if names <= expanded:
            return model
        expanded |= names
        _spell_out_defaults(model, names)
        model = inliner.inline_selected_functions(model, list(names), inline_schema_functions=True)


def _spell_out_defaults(model: onnx.ModelProto, names: set[tuple[str, str]]) -> None:
    """Give the nodes, in place, the attributes they leave to the standard: the inliner does not."""
    for node in _nodes(model.graph):
        schema = _schema(model, node) if (node.domain, node.op_type) in names else None
        given = {attribute.name for attribute in node.attribute}
        for name, attribute in schema.attributes.items() if schema else ():
            if name not in given and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
                node.attribute.append(attribute.default_value)


def _with_function(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """Operators that the importer lacks, or gets wrong, and the standard defines by others."""
    lacking = {n.op_type for n in _nodes(model.graph)} - onnx_frontend._get_convert_map().keys()
    if any(node.op_type in _FLOAT32_ONLY for node in model.graph.node):
        types = _types(shape_inference.infer_shapes(model))
        lacking |= {
            node.op_type
            for node in model.graph.node
            if node.op_type in _FLOAT32_ONLY
            and types.get(node.input[0], onnx.TensorProto.FLOAT) != onnx.TensorProto.FLOAT
        }
    return {
        (node.domain, node.op_type)
        for node in _nodes(model.graph)
        if node.op_type in lacking
        and (schema := _schema(model, node)) is not None
        and (schema.has_function or schema.has_context_dependent_function)
    }


def _schema(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.defs.OpSchema | None:
    version = next((o.version for o in model.opset_import if o.domain == node.domain), 0)
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element types that are known."""
    graph = model.graph
    values = (*graph.value_info, *graph.input)
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    return types | {c.name: c.data_type for c in graph.initializer}


def _sums_as_additions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place: the importer would stack a Sum's operands in memory first."""
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Sum" or len(node.input) < 2:
            nodes.append(node)
            continue
        total, *rest = node.input
        for k, operand in enumerate(rest):
            last = k == len(rest) - 1
            result = node.output[0] if last else f"{node.output[0]}_sum{k}"
            nodes.append(helper.make_node("Add", [total, operand], [result]))
            total = result
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def fold_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Evaluate what depends on static shapes and small constants only, as often as it helps."""
    while True:
        try:
            inferred = shape_inference.infer_shapes(model, data_prop=True)
        except Exception:  # a wrong annotation in the file: the importer decides
            return model
        folded = _fold_once(inferred)
        if len(folded.graph.node) == len(model.graph.node):
            return folded
        model = folded


def _fold_once(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    shapes = {
        v.name: [d.dim_value if d.HasField("dim_value") else None for d in t.shape.dim]
        for v in (*graph.value_info, *graph.input)
        if (t := v.type.tensor_type).HasField("shape")
    }
    known = {
        c.name: numpy_helper.to_array(c)
        for c in graph.initializer
        if int(np.prod(c.dims)) <= MAX_FOLDED
    }
    shapes |= {c.name: list(c.dims) for c in graph.initializer}
    types = _types(model)
    outputs = {o.name for o in graph.output}
    kept, folded = [], {}
    for node in graph.node:
        values = None
        if not outputs & set(node.output):
            values = _evaluate(_without_like(node, types), known, shapes, model.opset_import)
        if values is None:
            kept.append(node)
        else:
            known |= values
            folded |= values
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(kept)
    used = {name for node in kept for name in _names_used(node)} | outputs
    result.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in folded.items()
        if name in used
    )
    return result


def _names_used(node: onnx.NodeProto) -> set[str]:
    inner = (n for a in node.attribute for n in _nodes(a.g))
    return {name for n in (node, *inner) for name in n.input}


def _without_like(node: onnx.NodeProto, types: Mapping[str, int]) -> onnx.NodeProto:
    """CastLike, which needs its second input's type only, as Cast."""
    if node.op_type != "CastLike" or not types.get(node.input[1]):
        return node
    return helper.make_node("Cast", node.input[:1], node.output, to=types[node.input[1]])


def _evaluate(
    node: onnx.NodeProto,
    known: Mapping[str, np.ndarray],
    shapes: Mapping[str, list[int | None]],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> dict[str, np.ndarray] | None:
    """The node's outputs if they are constants worth keeping."""
    if node.op_type == "Shape" and None not in shapes.get(node.input[0], [None]):
        options = {a.name: a.i for a in node.attribute}
        shape = np.array(shapes[node.input[0]], dtype=np.int64)
        return {node.output[0]: shape[options.get("start", 0) : options.get("end")]}
    has_graph = any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute)
    if node.op_type in _RANDOM or has_graph or not all(i in known or not i for i in node.input):
        return None
    feeds = {name: known[name] for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "fold",
        [],
        [onnx.ValueInfoProto(name=name) for name in node.output],
        [numpy_helper.from_array(value, name) for name, value in feeds.items()],
    )
    alone = helper.make_model(graph, opset_imports=opsets)
    try:
        if any(_size(o) > MAX_FOLDED for o in shape_inference.infer_shapes(alone).graph.output):
            return None
        results = ReferenceEvaluator(alone).run(None, {})
    except Exception:  # an operator without a reference stays for the importer
        return None
    if any(not isinstance(r, np.ndarray) or r.size > MAX_FOLDED for r in results):
        return None
    return dict(zip(node.output, results, strict=True))


def _size(value: onnx.ValueInfoProto) -> int:
    """Elements of a tensor, as far as its extents are known."""
    return math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
