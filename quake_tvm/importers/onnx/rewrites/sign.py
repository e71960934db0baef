"""Sign of unsigned integers, of which TVM makes a comparison with -1."""

import onnx
from onnx import TensorProto

from .graph import Graph

_UNSIGNED = {TensorProto.DataType.Value(f"UINT{bits}") for bits in (8, 16, 32, 64)}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Sign, or 1 for all but 0."""
    (x,), (y,) = node.input, node.output
    if graph.dtype(x) not in _UNSIGNED:
        graph.keep(node)
        return
    graph.emit("Cast", [graph.emit("Cast", [x], to=TensorProto.BOOL)], y, to=graph.dtype(x))
