"""Replace tensors that are known to have no elements by constants.

TVM's importer and kernels refuse many operators on such tensors: an empty slice, a part of a split
with length 0, a reduction over no elements. Knows no TVM.
"""

import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .inference import inferred

# The value of a reduction over no elements, as in ONNX Runtime: the standard does not define the
# mean.
OVER_NOTHING = {
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"), 0.0),
    **dict.fromkeys(("ReduceLogSum", "ReduceLogSumExp", "ReduceMax"), -math.inf),
    "ReduceMin": math.inf,
    "ReduceProd": 1.0,
}


def without_empty(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place, without the nodes whose outputs have no elements."""
    try:
        known = inferred(model)
    except Exception:  # a wrong annotation in the file: the importer decides
        return model
    values = {v.name: v for v in (*known.input, *known.value_info, *known.output)}
    empty = {name: value for name, v in values.items() if (value := _filled(v)) is not None}
    empty |= {c.name: numpy_helper.to_array(c) for c in model.graph.initializer if 0 in c.dims}
    by_input = any(not o.domain and o.version >= 13 for o in model.opset_import)
    nodes = []
    for node in model.graph.node:
        if node.op_type in OVER_NOTHING and node.input[0] in empty:
            total = _filled(values.get(node.output[0]), OVER_NOTHING[node.op_type])
            if total is not None:
                empty[node.output[0]] = total
        given = [name for name in node.output if name in empty]
        left = [name for name in node.output if name and name not in given]
        unsure = node.op_type == "Reshape" and node.input[0] not in empty  # its shapes may not fit
        if not given or unsure or (left and node.op_type != "Split"):
            nodes.append(node)
            continue
        nodes += [
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(empty[name]))
            for name in given
        ]
        if left:
            nodes += _split(node, left, values, by_input)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _filled(value: onnx.ValueInfoProto | None, fill: float | None = None) -> np.ndarray | None:
    """A tensor of a known type and shape, else None. Without ``fill``, only an empty one."""
    ty = value.type.tensor_type if value is not None else onnx.TypeProto.Tensor()
    shape = [d.dim_value for d in ty.shape.dim if d.HasField("dim_value")]
    if not ty.elem_type or not ty.HasField("shape") or len(shape) < len(ty.shape.dim):
        return None
    if fill is None:
        return np.zeros(shape, _numpy(ty)) if 0 in shape else None
    dtype = _numpy(ty)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fill = min(max(fill, limits.min), limits.max)
    return np.full(shape, fill, dtype)


def _numpy(ty: onnx.TypeProto.Tensor) -> np.dtype:
    return helper.tensor_dtype_to_np_dtype(ty.elem_type)


def _split(
    node: onnx.NodeProto,
    left: list[str],
    values: dict[str, onnx.ValueInfoProto],
    by_input: bool,
) -> list[onnx.NodeProto]:
    """The split into the parts that have elements."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    sizes = [values[name].type.tensor_type.shape.dim[axis].dim_value for name in left]
    if len(left) == 1:
        return [helper.make_node("Identity", node.input[:1], left)]
    if not by_input:
        return [helper.make_node("Split", node.input[:1], left, axis=axis, split=sizes)]
    lengths = f"{left[0]}_lengths"
    constant = numpy_helper.from_array(np.array(sizes, np.int64))
    return [
        helper.make_node("Constant", [], [lengths], value=constant),
        helper.make_node("Split", [node.input[0], lengths], left, axis=axis),
    ]
