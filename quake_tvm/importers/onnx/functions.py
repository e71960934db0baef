"""Replace calls of ONNX functions by the functions' nodes.

A model may define functions, and the standard defines some operators as functions of others. Of the
latter, those are expanded that TVM's importer lacks or gets wrong and that have no rewrite here.
"""

from functools import reduce
from operator import or_

import onnx
from onnx import helper, inliner
from tvm.relax.frontend.onnx import onnx_frontend

from ...errors import QuakeError
from . import own_operators, rewrites
from .check import schema
from .fold import element_types
from .inference import inferred
from .nodes import all_nodes, graphs

# The importer confuses it with ONNX Runtime's operator.
_WRONG = {"Attention"}
# The importer uses float32 constants for it, whatever the input's type.
_FLOAT32_ONLY = {"HardSwish"}


def inline(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with calls of its own functions inlined, but for those of this library's domain.

    Raises
    ------
    QuakeError
        If an operator has another form in a function's opset than in the model's opset.
    """
    others = [f for f in model.functions if f.domain != own_operators.DOMAIN]
    if not others:
        return model
    for function in others:
        for node in function.node:
            own, outer = schema(function, node), schema(model, node)
            if own and outer and own.since_version != outer.since_version:
                raise QuakeError(
                    f"the model's function {function.name!r} is of another opset than the model, "
                    f"in which {node.op_type} differs: convert one of them"
                )
    kept = [(f.domain, f.name) for f in model.functions if f.domain == own_operators.DOMAIN]
    return inliner.inline_selected_functions(model, kept, exclude=True)


def expand(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with calls of the standard's functions expanded. The given model is changed too."""
    expanded: set[tuple[str, str]] = set()
    while True:
        names = _with_function(model)
        if names <= expanded:
            return model
        expanded |= names
        _spell_out_defaults(model, names)
        _annotate(model)
        model = inliner.inline_selected_functions(model, list(names), inline_schema_functions=True)
        kept = [value for value in model.graph.value_info if value.name]
        del model.graph.value_info[:]
        model.graph.value_info.extend(kept)


def _spell_out_defaults(model: onnx.ModelProto, names: set[tuple[str, str]]) -> None:
    """Set, in place, the default attributes that nodes leave out: the inliner does not."""
    for node in all_nodes(model.graph):
        form = schema(model, node) if (node.domain, node.op_type) in names else None
        given = {attribute.name for attribute in node.attribute}
        for name, attribute in form.attributes.items() if form else ():
            if name not in given and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
                node.attribute.append(attribute.default_value)


def _annotate(model: onnx.ModelProto) -> None:
    """Add, in place, the types that the inliner needs: of constants and of omitted inputs."""
    known = {v.name for v in (*model.graph.input, *model.graph.value_info)}
    model.graph.value_info.extend(
        helper.make_tensor_value_info(c.name, c.data_type, c.dims)
        for c in model.graph.initializer
        if c.name not in known
    )
    model.graph.value_info.append(helper.make_tensor_value_info("", onnx.TensorProto.FLOAT, None))


def _with_function(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """Operators that the importer lacks or gets wrong, and the standard defines by others."""
    lacking = {n.op_type for n in all_nodes(model.graph)} - onnx_frontend._get_convert_map().keys()
    lacking = (lacking | _WRONG) - rewrites.STANDARD.keys()
    if any(node.op_type in _FLOAT32_ONLY for node in all_nodes(model.graph)):
        types = reduce(or_, map(element_types, graphs(inferred(model))))
        lacking |= {
            node.op_type
            for node in all_nodes(model.graph)
            if node.op_type in _FLOAT32_ONLY
            and types.get(node.input[0], onnx.TensorProto.FLOAT) != onnx.TensorProto.FLOAT
        }
    return {
        (node.domain, node.op_type)
        for node in all_nodes(model.graph)
        if node.op_type in lacking
        and (form := schema(model, node)) is not None
        and (form.has_function or form.has_context_dependent_function)  # type: ignore[attr-defined]
    }
