"""Reductions over no axes, and of element types that TVM reduces differently or not at all."""

import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from . import inputs_for_attributes
from .graph import Graph, attributes

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_IN_FLOATS = {TensorProto.DataType.Value(t): TensorProto.DOUBLE for t in _INTEGERS}
# The type in which to compute. Results for integers are truncated, as in ONNX Runtime.
_THROUGH = {
    **dict.fromkeys(("ReduceL2", "ReduceLogSum", "ReduceMean"), _IN_FLOATS),
    "ReduceMax": {TensorProto.BOOL: TensorProto.UINT8},
    "ReduceMin": {TensorProto.BOOL: TensorProto.UINT8},
}
# The element-wise operator that replaces a reduction over no axes; otherwise it is Identity.
_ELEMENTWISE = {"ReduceL1": "Abs", "ReduceL2": "Abs", "ReduceSumSquare": "Mul"}
OPERATORS = [name for name in inputs_for_attributes.MOVED if name.startswith("Reduce")]


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node, between casts if necessary, or the operator that replaces it without axes.

    Raises
    ------
    QuakeError
        If it is unknown whether there are axes, and for logarithms of sums of exponentials of
        integers, which the standard no longer has.
    """
    x, *axes = node.input
    (y,) = node.output
    if node.op_type == "ReduceLogSumExp" and graph.dtype(x) in _IN_FLOATS:
        raise QuakeError("ReduceLogSumExp of integers is not supported: cast them to float")
    if attributes(node).get("noop_with_empty_axes"):
        known = graph.constant_value(axes[0]) if axes and axes[0] else ()
        if known is None:
            raise QuakeError(
                f"{node.op_type} with noop_with_empty_axes, and axes {axes[0]!r} that are not "
                "constant: make them so, or leave the attribute out"
            )
        if not len(known):
            operator = _ELEMENTWISE.get(node.op_type, "Identity")
            graph.emit(operator, [x, x] if operator == "Mul" else [x], y)
            return
    dtype = graph.dtype(x)
    through = _THROUGH.get(node.op_type, {}).get(dtype)
    if through is None:
        inputs_for_attributes.rewrite(node, graph)
        return
    reduced = graph.fresh("reduced")
    inputs = [graph.emit("Cast", [x], to=through), *axes]
    inputs_for_attributes.rewrite(
        helper.make_node(node.op_type, inputs, [reduced], node.name, **attributes(node)), graph
    )
    graph.emit("Cast", [reduced], y, to=dtype)
