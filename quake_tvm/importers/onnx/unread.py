"""Leave out the nodes of an ONNX graph that no output depends on.

Exporters and optimisers leave such nodes behind, and ONNX Runtime does not compute them. Knows no
operator.
"""

import onnx

from .nodes import read_by


def without_unread(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place. Its nodes must be in order."""
    _drop_unread(model.graph)
    return model


def _drop_unread(graph: onnx.GraphProto) -> None:
    needed = {output.name for output in graph.output}
    for k in reversed(range(len(graph.node))):
        node = graph.node[k]
        if needed.isdisjoint(filter(None, node.output)):
            del graph.node[k]
            continue
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _drop_unread(attribute.g)
        needed |= read_by(node)
