"""ONNX's shape inference without the model's weights.

It would copy the weights several times, and it refuses models of 2 GB. Knows no TVM.
"""

import math
from collections.abc import Iterator

import onnx
from onnx import helper, shape_inference

# Constants of more elements are hidden from the inference: it reads only sizes and axes.
SMALL = 1024
_WINDOWS = {
    *("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "LpPool", "MaxPool"),
    *("Pad", "QLinearConv"),
}


def inferred(model: onnx.ModelProto) -> onnx.GraphProto:
    """The types of all values, as far as they can be inferred.

    Returns
    -------
    onnx.GraphProto
        Nodes, inputs, outputs and value_info. Large constants are inputs.

    Raises
    ------
    Exception
        If an annotation in the model contradicts the inference, or if a window is larger than what
        it moves over: it has no common base class.
    """
    bare = _without_weights(model)
    for part in _without_slices(bare):
        found = shape_inference.infer_shapes(part, data_prop=True).graph
        if any(negative(value.type) for value in (*found.value_info, *found.output)):
            raise ValueError("a window is larger than what it moves over")
    return shape_inference.infer_shapes(bare, data_prop=True).graph


def _without_slices(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """The model without the slices behind windows, then with the first of them, and so on.

    A window that is larger than what it moves over has a result of negative extent. A slice of such
    a tensor ends the process inside of onnx.
    """
    # For each value: the slices in front of it, each behind another window, and whether it is
    # behind one more window.
    behind: dict[str, tuple[int, bool]] = {}
    depths: dict[int, int] = {}
    for k, node in enumerate(model.graph.node):
        before = [behind.get(name, (0, False)) for name in node.input]
        depth = max((count for count, _ in before), default=0)
        window = any(one for count, one in before if count == depth)
        if node.op_type in _WINDOWS:
            window = True
        elif node.op_type == "Slice" and window:
            depth, window = depth + 1, False
            depths[k] = depth
        behind.update(dict.fromkeys(node.output, (depth, window)))
    for level in range(1, 1 + max(depths.values(), default=0)):
        part = onnx.ModelProto()
        part.CopyFrom(model)
        part.opset_import.add(domain="unknown", version=1)
        for k, depth in depths.items():
            if depth >= level:
                part.graph.node[k].domain = "unknown"
        yield part


def negative(tensor: onnx.TypeProto) -> bool:
    """Whether a tensor's type has a negative extent, which onnx infers without an error."""
    return any(dim.dim_value < 0 for dim in tensor.tensor_type.shape.dim)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = onnx.GraphProto(name=model.graph.name)
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(model.graph, field))
    known = {i.name for i in graph.input}
    for constant in model.graph.initializer:
        if math.prod(constant.dims) <= SMALL:
            graph.initializer.append(constant)
        elif constant.name not in known:
            graph.input.append(
                helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
            )
    return onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, graph=graph
    )
