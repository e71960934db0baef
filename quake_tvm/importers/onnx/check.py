"""Refuse ONNX nodes that use a feature which the import would ignore.

A node is refused if its operator is not listed in :mod:`operators`; if it has an attribute, an
input or a used output that is not listed (an attribute with its default value is allowed); if it
has a form of an unknown opset; or if it is an Einsum with a malformed equation. Knows no TVM.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx
from onnx import helper

from ...errors import QuakeError
from . import equations, own_operators
from .contributed import DOMAIN, MICROSOFT
from .nodes import all_nodes, place
from .operators import STANDARD, versions

# The domain of operators whose weights ONNX Runtime blocks for the CPU at hand.
_OF_ONE_CPU = "com.microsoft.nchwc"
# The operators of other domains than the standard's.
_CONTRIBUTED = {DOMAIN: MICROSOFT, own_operators.DOMAIN: own_operators.OPERATORS}
# Errors name at most so many nodes.
_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """What would be ignored, or cannot be imported.

    Attributes
    ----------
    operator : str
        The operator's name; empty for an input or output of the model.
    message : str
        One line that says what to do.
    """

    operator: str
    message: str


def check(model: onnx.ModelProto) -> None:
    """Refuse nodes of which something would be ignored.

    Raises
    ------
    QuakeError
        For a node whose operator, form, attribute, input or output is not honoured.
    """
    unknown = _unknown(model)
    for problem in problems(model):
        lacking = problem.operator in map(name, unknown)
        raise QuakeError(_lacking(unknown) if lacking else problem.message)


def problems(model: onnx.ModelProto) -> Iterator[Problem]:
    """All problems of a model, in the order in which an import meets them."""
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            kind = kind.removesuffix("_type").replace("_", " ")
            what = "a model's inputs and outputs must be tensors; give each tensor on its own"
            yield Problem("", f"{value.name!r} is of type {kind}: {what}")
    for node in all_nodes(model.graph):
        if node.domain.startswith(_OF_ONE_CPU):
            yield Problem(
                name(node),
                f"{name(node)} has the layout of one CPU, which the file does not say: optimise "
                'the model to the level "extended" (ORT_ENABLE_EXTENDED) only',
            )
    unknown = _unknown(model)
    for operator in sorted(set(map(name, unknown))):
        yield Problem(operator, _lacking([node for node in unknown if name(node) == operator]))
    used = {i for n in all_nodes(model.graph) for i in n.input} | _graph_outputs(model.graph)
    for node in all_nodes(model.graph):
        if node.op_type == "Einsum" and not node.domain and (wrong := equations.problem(node)):
            yield Problem(name(node), wrong)
        elif _known(node):
            yield from (Problem(name(node), m) for m in _problems_of(model, node, used))


def _problems_of(model: onnx.ModelProto, node: onnx.NodeProto, used: set[str]) -> Iterator[str]:
    for k in _left_out(model, node):
        what = f"the ONNX operator {name(node)} needs its input {k}, which is left out"
        yield f"{what} ({place(node)})"
    ignored = _not_honoured if node.domain == "" else _not_honoured_of_others
    for what in ignored(model, node, used):
        yield (
            f"{what} of the ONNX operator {name(node)} is not supported ({place(node)}); "
            "write the node without it, or import the model yourself and pass the IRModule"
        )


def _unknown(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of operators that have no converter."""
    nodes = [n for n in all_nodes(model.graph) if not n.domain.startswith(_OF_ONE_CPU)]
    return [node for node in nodes if not _known(node)]


def _lacking(nodes: list[onnx.NodeProto]) -> str:
    operators = sorted(set(map(name, nodes)))
    shown = ", ".join(map(place, nodes[:_SHOWN]))
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    return (
        f"TVM cannot import these ONNX operators: {', '.join(operators)}; "
        f"replace {shown}{more} in the model, or import it yourself and pass the IRModule"
    )


def name(node: onnx.NodeProto) -> str:
    """The operator's name, with its domain unless it is the standard's."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def schema(
    model: onnx.ModelProto | onnx.FunctionProto, node: onnx.NodeProto
) -> onnx.defs.OpSchema | None:
    """The node's schema, in the opset of the model or function; None if there is none."""
    version = next((o.version for o in model.opset_import if o.domain == node.domain), 0)
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


def _known(node: onnx.NodeProto) -> bool:
    known: Collection[str] = _CONTRIBUTED.get(node.domain, ()) if node.domain else STANDARD
    return node.op_type in known


def _graph_outputs(graph: onnx.GraphProto) -> set[str]:
    """The outputs of the graph and of its subgraphs."""
    inner = (a.g for node in all_nodes(graph) for a in node.attribute if a.HasField("g"))
    return {o.name for g in (graph, *inner) for o in g.output}


def _left_out(model: onnx.ModelProto, node: onnx.NodeProto) -> Iterator[int]:
    """The positions of inputs that have no name but are not optional."""
    form = schema(model, node)
    formal = list(form.inputs) if form else []
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    # Opset 11's schema says that Resize needs all three, and its text that two may be left out.
    spared = (1, 2) if node.op_type == "Resize" else ()
    for k, given in enumerate(node.input):
        if k in spared:
            continue
        known = formal[min(k, len(formal) - 1)] if formal else None
        if not given and (k == 0 if known is None else known.option != optional):
            yield k


def _not_honoured(model: onnx.ModelProto, node: onnx.NodeProto, used: set[str]) -> Iterator[str]:
    form = schema(model, node)
    if form is None or form.since_version not in versions(node.op_type):
        version = next((o.version for o in model.opset_import if not o.domain), 0)
        yield f"the form in opset {version}"
        return
    honoured = STANDARD[node.op_type]
    for attribute in node.attribute:
        known = form.attributes.get(attribute.name)
        if known is None:
            yield f"attribute {attribute.name}, unknown in this opset,"
        elif attribute.name not in honoured and not _same(attribute, known.default_value):
            yield f"attribute {attribute.name}={_shown(attribute)}"
    for given, formal in zip(node.input, form.inputs, strict=False):
        optional = formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional
        if given and optional and formal.name not in honoured:
            yield f"input {formal.name}"
    for given, formal in list(zip(node.output, form.outputs, strict=False))[1:]:
        if given in used and formal.name not in honoured:
            yield f"output {formal.name}"


def _not_honoured_of_others(
    model: onnx.ModelProto, node: onnx.NodeProto, used: set[str]
) -> Iterator[str]:
    honoured = _CONTRIBUTED[node.domain][node.op_type]
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if (
            attribute.name not in honoured.attributes
            and (attribute.name, value) not in honoured.defaults
        ):
            yield f"attribute {attribute.name}={_shown(attribute)}"
    for k, given in enumerate(node.input):
        if given and k not in honoured.inputs and not honoured.variadic:
            yield f"input {k}"
    for k, given in enumerate(node.output):
        if given in used and k not in honoured.outputs:
            yield f"output {k}"


def _same(attribute: onnx.AttributeProto, default: onnx.AttributeProto) -> bool:
    return default.type == attribute.type and helper.get_attribute_value(
        attribute
    ) == helper.get_attribute_value(default)


def _shown(attribute: onnx.AttributeProto) -> str:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")[:40]
    return str(value)[:40] if isinstance(value, int | float | list) else "..."
