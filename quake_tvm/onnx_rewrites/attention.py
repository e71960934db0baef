"""com.microsoft.Attention without what it says by default: the importer refuses even that."""

import onnx
from onnx import helper

from .graph import Graph, attributes

_READ = ("num_heads", "qkv_hidden_sizes")


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with the attributes that the importer reads."""
    given = {name: value for name, value in attributes(node).items() if name in _READ}
    graph.keep(
        helper.make_node(
            "Attention", node.input, node.output, node.name, domain=node.domain, **given
        )
    )
