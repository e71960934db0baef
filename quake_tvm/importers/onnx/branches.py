"""Replace an If with a constant condition by the branch that it takes.

Exporters write If where the model depends on a rank or an extent. Once the inputs' shapes are
known, the condition is a constant. Knows no TVM.
"""

import onnx
from onnx import helper, numpy_helper


def take_known(model: onnx.ModelProto) -> bool:
    """Replace, in place, every If with a constant condition by its branch; whether any was."""
    conditions = {c.name: c for c in model.graph.initializer}
    nodes, taken = [], False
    for node in model.graph.node:
        known = conditions.get(node.input[0]) if node.op_type == "If" and not node.domain else None
        if known is None:
            nodes.append(node)
            continue
        wanted = "then_branch" if numpy_helper.to_array(known).any() else "else_branch"
        branch = next(a.g for a in node.attribute if a.name == wanted)
        nodes += _inlined(branch, node, model.graph)
        taken = True
    if taken:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return taken


def _inlined(
    branch: onnx.GraphProto, node: onnx.NodeProto, graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    """The branch's nodes with unique value names. The branch's constants are added to the graph."""
    inner = [c.name for c in branch.initializer]
    inner += [name for n in branch.node for name in n.output if name]
    names = {name: f"{node.output[0]}/{name}" for name in inner}
    for constant in branch.initializer:
        graph.initializer.append(constant)
        graph.initializer[-1].name = names[constant.name]
    nodes = [renamed(n, names) for n in branch.node]
    nodes += [
        helper.make_node("Identity", [names.get(o.name, o.name)], [output])
        for o, output in zip(branch.output, node.output, strict=True)
        if output
    ]
    return nodes


def renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    """A copy of a node with its values renamed, in subgraphs too."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for field in (copy.input, copy.output):
        field[:] = [names.get(name, name) for name in field]
    for attribute in copy.attribute:
        if attribute.HasField("g"):
            hidden = {v.name for v in (*attribute.g.input, *attribute.g.initializer)}
            hidden |= {name for n in attribute.g.node for name in n.output}
            outer = {old: new for old, new in names.items() if old not in hidden}
            nodes = [renamed(n, outer) for n in attribute.g.node]
            del attribute.g.node[:]
            attribute.g.node.extend(nodes)
            for output in attribute.g.output:
                output.name = outer.get(output.name, output.name)
    return copy
