"""From an ONNX model to a Relax module that TVM can compile.

Fixes the inputs' shapes, expands operators TVM's importer lacks into the functions the ONNX
standard defines them by (Celu, Swish, ...), folds the subgraphs that compute shapes, imports.
Knows nothing of nonlinearities.
"""

import contextlib
import io

import onnx
import tvm
from onnx import helper, inliner, shape_inference
from tvm.relax.frontend.onnx import from_onnx, onnx_frontend

from .errors import QuakeError
from .onnx_empty import without_empty
from .onnx_file import Shapes, inputs, is_dynamic, with_shapes
from .onnx_fold import all_nodes, element_types, fold_shapes
from .onnx_slices import from_one_end_at_a_time

# The importer goes by an operator's name alone: these are the domains it means.
_DOMAINS = ("", "com.microsoft")
# The importer gives these float32 constants, whatever the input's type.
_FLOAT32_ONLY = {"Elu", "Selu"}


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
    model = with_shapes(model, shapes or {})
    model = _expand_functions(model)
    _check_operators(model)
    model = fold_shapes(_sums_as_additions(model))
    model = without_empty(from_one_end_at_a_time(model))
    sizes = {
        i.name: [d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in inputs(model)
        if not is_dynamic(i)
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the importer prints what it raises
            return from_onnx(
                model, shape_dict=sizes, keep_params_in_input=False, sanitize_input_names=False
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
        dynamic = [i.name for i in inputs(model) if is_dynamic(i)]
        if dynamic:
            example = ", ".join(f"{name}=..." for name in dynamic)
            raise QuakeError(
                f"TVM cannot import this model with dynamic dimensions ({reason}); "
                f"give shapes for: {example}"
            ) from None
        raise QuakeError(f"TVM's ONNX importer failed: {reason}") from error


def _check_operators(model: onnx.ModelProto) -> None:
    known = {*onnx_frontend._get_convert_map(), "Constant", "If"}
    unknown = {
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for node in all_nodes(model.graph)
        if node.op_type not in known or node.domain not in _DOMAINS
    }
    if unknown:
        raise QuakeError(
            f"TVM cannot import these ONNX operators: {', '.join(sorted(unknown))}; "
            "replace them in the model, or import it yourself and pass the IRModule"
        )


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
    for node in all_nodes(model.graph):
        schema = _schema(model, node) if (node.domain, node.op_type) in names else None
        given = {attribute.name for attribute in node.attribute}
        for name, attribute in schema.attributes.items() if schema else ():
            if name not in given and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
                node.attribute.append(attribute.default_value)


def _with_function(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """Operators that the importer lacks, or gets wrong, and the standard defines by others."""
    lacking = {n.op_type for n in all_nodes(model.graph)} - onnx_frontend._get_convert_map().keys()
    if any(node.op_type in _FLOAT32_ONLY for node in model.graph.node):
        types = element_types(shape_inference.infer_shapes(model))
        lacking |= {
            node.op_type
            for node in model.graph.node
            if node.op_type in _FLOAT32_ONLY
            and types.get(node.input[0], onnx.TensorProto.FLOAT) != onnx.TensorProto.FLOAT
        }
    return {
        (node.domain, node.op_type)
        for node in all_nodes(model.graph)
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
