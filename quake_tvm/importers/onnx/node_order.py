"""Put an ONNX graph's nodes in an order in which each value is computed before it is read.

The standard asks for this order. Converters, onnxruntime's float16 converter among them, append
nodes without it, and ONNX Runtime runs such files. Knows no operator.
"""

from heapq import heapify, heappop, heappush

import onnx

from .nodes import graphs, read_by


def in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself if its nodes are in order, else a copy with ordered nodes.

    Nodes keep their order where it does not matter. The nodes of a cycle stay behind all others,
    for the checks to find.
    """
    if all(_sorted(g) == list(range(len(g.node))) for g in graphs(model.graph)):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph in reversed(list(graphs(copy.graph))):  # inner ones first: nodes are copied
        nodes = [graph.node[k] for k in _sorted(graph)]
        ordered = onnx.GraphProto(node=nodes)
        del graph.node[:]
        graph.node.extend(ordered.node)
    return copy


def _sorted(graph: onnx.GraphProto) -> list[int]:
    """The nodes' positions in order, the first possible one first."""
    producers = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    waits_for = [
        {producers[name] for name in read_by(node) if name in producers} for node in graph.node
    ]
    readers: list[list[int]] = [[] for _ in graph.node]
    for k, others in enumerate(waits_for):
        for other in others:
            readers[other].append(k)
    ready = [k for k, others in enumerate(waits_for) if not others]
    heapify(ready)
    found: list[int] = []
    while ready:
        k = heappop(ready)
        found.append(k)
        for reader in readers[k]:
            waits_for[reader].discard(k)
            if not waits_for[reader]:
                heappush(ready, reader)
    rest = set(range(len(graph.node))) - set(found)
    return [*found, *sorted(rest)]
