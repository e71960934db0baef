"""ONNX's shape inference without the model's weights.

It would copy the weights several times, and it refuses models of 2 GB. Knows no TVM.
"""

import math

import onnx
from onnx import helper, shape_inference

# Constants of more elements are hidden from the inference: it reads only sizes and axes.
SMALL = 1024


def inferred(model: onnx.ModelProto) -> onnx.GraphProto:
    """The types of all values, as far as they can be inferred.

    Returns
    -------
    onnx.GraphProto
        Nodes, inputs, outputs and value_info. Large constants are inputs.

    Raises
    ------
    Exception
        If an annotation in the model contradicts the inference: it has no common base class.
    """
    return shape_inference.infer_shapes(_without_weights(model), data_prop=True).graph


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
