"""From an ONNX model to a Relax module that TVM can compile.

Fixes the inputs' shapes, expands operators TVM's importer lacks into the functions the ONNX
standard defines them by (Celu, Swish, ...), folds the subgraphs that compute shapes, imports.
Knows nothing of nonlinearities.
"""

from collections.abc import Mapping, Sequence
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
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}
Shapes = Mapping[str, Sequence[int]]


def read(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file. Raises QuakeError if there is none or it is something else."""
    path = Path(path)
    if not path.is_file():
        raise QuakeError(f"no such file: {path}")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
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
    model = _with_shapes(model, shapes or {})
    model = _expand_functions(model)
    model = fold_shapes(model)
    try:
        return from_onnx(model, keep_params_in_input=False)
    except tvm.error.OpNotImplemented as error:
        names = str(error).strip().splitlines()[-1].rpartition(":")[2].strip()
        raise QuakeError(
            f"TVM cannot import these ONNX operators: {names}; "
            "replace them in the model, or import it yourself and pass the IRModule"
        ) from None
    except Exception as error:
        dynamic = _dynamic_inputs(model)
        if dynamic:
            example = ", ".join(f"{name}=..." for name in dynamic)
            raise QuakeError(
                f"TVM cannot import this model with dynamic dimensions; give shapes for: {example}"
            ) from None
        reason = str(error).strip().splitlines()[-1][:160]
        raise QuakeError(f"TVM's ONNX importer failed: {reason}") from error


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {c.name for c in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def _dynamic_inputs(model: onnx.ModelProto) -> list[str]:
    return [
        i.name
        for i in _inputs(model)
        if any(not d.HasField("dim_value") for d in i.type.tensor_type.shape.dim)
    ]


def _with_shapes(model: onnx.ModelProto, shapes: Shapes) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inputs = {i.name: i for i in _inputs(copy)}
    for name, shape in shapes.items():
        if name not in inputs:
            raise QuakeError(f"the model has no input {name!r}; its inputs: {', '.join(inputs)}")
        dims = inputs[name].type.tensor_type.shape.dim
        given = [int(n) for n in shape]
        fixed = [d.dim_value if d.HasField("dim_value") else None for d in dims]
        if len(given) != len(dims) or any(
            f not in (None, g) for f, g in zip(fixed, given, strict=True)
        ):
            wanted = ", ".join("?" if f is None else str(f) for f in fixed)
            raise QuakeError(f"shape {tuple(given)} does not fit input {name!r} ({wanted})")
        for dim, n in zip(dims, given, strict=True):
            dim.dim_value = n
    if shapes:  # what was inferred for the old shapes no longer holds
        del copy.graph.value_info[:]
        for output in copy.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")
    return copy


def _expand_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    known = onnx_frontend._get_convert_map()
    missing = {
        (node.domain, node.op_type)
        for node in model.graph.node
        if node.op_type not in known and _has_function(model, node)
    }
    if not missing and not model.functions:
        return model
    names = [*missing, *((f.domain, f.name) for f in model.functions)]
    return inliner.inline_selected_functions(model, names, inline_schema_functions=True)


def _has_function(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    version = next((o.version for o in model.opset_import if o.domain == node.domain), 0)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return False
    return schema.has_function or schema.has_context_dependent_function


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
    outputs = {o.name for o in graph.output}
    kept, folded = [], {}
    for node in graph.node:
        values = None
        if not outputs & set(node.output):
            values = _evaluate(node, known, shapes, model.opset_import)
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
    names = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= _names_used(inner)
    return names


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
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in feeds.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    try:
        results = ReferenceEvaluator(
            helper.make_model(graph, opset_imports=opsets)
        ).run(None, feeds)
    except Exception:  # an operator without a reference stays for the importer
        return None
    if any(not isinstance(r, np.ndarray) or r.size > MAX_FOLDED for r in results):
        return None
    return dict(zip(node.output, results, strict=True))
