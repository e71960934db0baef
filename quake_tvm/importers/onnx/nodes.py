"""Walks over the nodes of an ONNX graph and of its branches and loop bodies, and what errors call a
node. Knows no operator."""

from collections.abc import Iterator
from contextlib import contextmanager

import onnx

from ...errors import QuakeError


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


def read_by(node: onnx.NodeProto) -> set[str]:
    """The names of the values that a node reads, also inside its branches and loop bodies."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in graphs(attribute.g) if attribute.HasField("g") else ():
            names |= {output.name for output in graph.output}
            names |= {name for inner in graph.node for name in inner.input}
    return names


def place(node: onnx.NodeProto) -> str:
    """What errors call a node: its name, or that of its first output."""
    return f"node {node.name!r}" if node.name else f"the node of {next(iter(node.output), '')!r}"


class DoesNotFitError(QuakeError):
    """Operands whose shapes do not fit each other. A branch that is never taken may have such."""


@contextmanager
def errors_of(node: onnx.NodeProto) -> Iterator[None]:
    """Raise QuakeErrors of a node's import as ones that name the node."""
    try:
        yield
    except QuakeError as error:
        kind = DoesNotFitError if isinstance(error, DoesNotFitError) else QuakeError
        raise kind(f"{error} ({place(node)})") from error
