"""Tensors without elements become constants, where that is known from the shapes.

TVM's importer and kernels refuse many operators on them: an empty slice, a part of a split of no
length, a reduction over nothing. Knows no TVM.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference


def without_empty(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place, without the nodes that give no element."""
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # a wrong annotation in the file: the importer decides
        return model
    values = (*inferred.graph.value_info, *inferred.graph.output)
    empty = {v.name: value for v in values if (value := _empty(v)) is not None}
    nodes = []
    for node in model.graph.node:
        given = [name for name in node.output if name in empty]
        left = [name for name in node.output if name and name not in given]
        if not given or (left and node.op_type != "Split"):
            nodes.append(node)
            continue
        nodes += [
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(empty[name]))
            for name in given
        ]
        if left:
            nodes += _split(node, left, inferred.graph)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _empty(value: onnx.ValueInfoProto) -> np.ndarray | None:
    """The value of a tensor that is known to have no element."""
    ty = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else None for d in ty.shape.dim]
    if 0 not in shape or None in shape or not ty.elem_type:
        return None
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(ty.elem_type))


def _split(node: onnx.NodeProto, left: list[str], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The split into those of its parts that have elements."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    values = {v.name: v for v in (*graph.value_info, *graph.output)}
    sizes = [values[name].type.tensor_type.shape.dim[axis].dim_value for name in left]
    if len(left) == 1:
        return [helper.make_node("Identity", node.input[:1], left)]
    lengths = f"{left[0]}_lengths"
    constant = numpy_helper.from_array(np.array(sizes, np.int64))
    return [
        helper.make_node("Constant", [], [lengths], value=constant),
        helper.make_node("Split", [node.input[0], lengths], left, axis=axis),
    ]
