"""Walks over the nodes of an ONNX graph and of its branches and loop bodies. Knows no operator."""

from collections.abc import Iterator

import onnx


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The graph's nodes, including those of branches and loop bodies."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from all_nodes(attribute.g)


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph itself, and those of branches and loop bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)
