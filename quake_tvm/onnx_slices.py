"""Slices of an axis of unknown length from a place counted from one end to one from the other.

``x[1:-1]`` of one element has none. TVM computes its length without a limit: -1. Counted from one
end at a time it has a limit: ``x[:-1][1:]``. ``x[-2:1]`` cannot be counted so, and is refused.
Knows no TVM.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from .errors import QuakeError

_END = np.iinfo(np.int64).max
# A start before this is the beginning, however long the axis.
_BEGINNING = np.iinfo(np.int32).min + 1


def from_one_end_at_a_time(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place. Reads slices as opset 10 and later write them.

    Raises
    ------
    QuakeError
        For a slice of an axis of unknown length from a place near its end to one near its start.
    """
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # a wrong annotation in the file: the importer decides
        return model
    known = {c.name: c for c in model.graph.initializer}
    dims = {v.name: v.type.tensor_type.shape.dim for v in (*graph.input, *graph.value_info)}
    nodes = []
    for node in model.graph.node:
        constant = node.op_type == "Slice" and all(i in known for i in node.input[1:] if i)
        both = _both_ends(node, known, dims) if constant and len(node.input) > 2 else None
        nodes += both or [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _both_ends(node: onnx.NodeProto, known: dict, dims: dict) -> list[onnx.NodeProto] | None:
    """Two slices in place of one that needs it: to the ends, then from the starts."""
    given = [numpy_helper.to_array(known[name]) for name in node.input[1:] if name]
    starts, ends = given[:2]
    axes = given[2] if len(node.input) > 3 and node.input[3] else np.arange(len(starts))
    steps = given[-1] if len(node.input) > 4 and node.input[4] else np.ones(len(starts), int)
    shape = dims.get(node.input[0])
    open_ = [
        step > 0 and (shape is None or not shape[axis].HasField("dim_value"))
        for axis, step in zip(axes, steps, strict=True)
    ]
    if np.any(open_ & (starts > _BEGINNING) & (starts < 0) & (ends > 0) & (ends < -_BEGINNING)):
        raise QuakeError(
            f"Slice {node.name or node.output[0]!r} begins {-starts.min()} before the end of an "
            "axis of unknown length and ends at a fixed place: give the inputs' shapes"
        )
    needs = open_ & (starts > 0) & (ends < 0)
    if not needs.any():
        return None
    name = f"{node.output[0]}_until"
    first = {"starts": np.zeros(needs.sum()), "ends": ends[needs], "axes": axes[needs]}
    ends = np.where(needs, _END, ends)
    second = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    return [
        *_slice(node.input[0], name, first),
        *_slice(name, node.output[0], second),
    ]


def _slice(x: str, y: str, given: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    constants = [
        helper.make_node(
            "Constant", [], [f"{y}_{name}"], value=numpy_helper.from_array(value.astype(np.int64))
        )
        for name, value in given.items()
    ]
    return [*constants, helper.make_node("Slice", [x, *(f"{y}_{n}" for n in given)], [y])]
