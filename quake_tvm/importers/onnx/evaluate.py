"""Evaluate an ONNX node of constants, with ONNX's reference evaluator. Knows no TVM."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from .inference import SMALL

# The most elements of a value, if the caller sets no other limit.
MAX_FOLDED = 65536
# Dropout is random in training.
RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"} | {
    "Multinomial", "Bernoulli", "Dropout"
}  # fmt: skip
# Operators that ONNX's reference evaluator computes differently from the standard.
UNRELIABLE = {
    *("BatchNormalization", "ConvInteger", "GRU", "LRN", "LSTM", "LpNormalization", "LpPool"),
    *("MatMulInteger", "RNN", "RoiAlign", "Unique"),
}
# Products with quantized weights are recognised later, so the weights stay as they are.
_KEPT = {"DequantizeLinear"}


def evaluate(
    node: onnx.NodeProto,
    known: Mapping[str, np.ndarray],
    opsets: Sequence[onnx.OperatorSetIdProto],
    limit: int = MAX_FOLDED,
) -> dict[str, np.ndarray] | None:
    """The node's outputs if they are constants of no more elements than the limit, else None.

    Parameters
    ----------
    node : onnx.NodeProto
    known : mapping of value name to numpy.ndarray
        The constants.
    opsets : sequence of OperatorSetIdProto
        The model's.
    limit : int
    """
    has_graph = any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute)
    if node.op_type in RANDOM | UNRELIABLE | _KEPT or has_graph:
        return None
    if not all(i in known or not i for i in node.input):
        return None
    if node.op_type == "Slice" and _begins_before_the_first(node, known):
        return None
    feeds = {name: known[name] for name in node.input if name}
    small = {name: value for name, value in feeds.items() if value.size <= SMALL}
    graph = helper.make_graph(
        [node],
        "fold",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in feeds.items()
            if name not in small
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output],
        [numpy_helper.from_array(value, name) for name, value in small.items()],
    )
    alone = helper.make_model(graph, opset_imports=opsets)
    try:
        outputs = shape_inference.infer_shapes(alone).graph.output
        if any(_size(o) > limit for o in outputs):
            return None
        given = {name: value for name, value in feeds.items() if name not in small}
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            results = ReferenceEvaluator(alone).run(None, given)
    except Exception:  # no reference, or one that has left the numbers of its type
        return None
    if any(not isinstance(r, np.ndarray) or r.size > limit for r in results):
        return None
    types = [o.type.tensor_type.elem_type for o in outputs]
    return {
        name: value.astype(helper.tensor_dtype_to_np_dtype(dtype)) if dtype else value
        for name, value, dtype in zip(node.output, results, types, strict=True)
    }


def _begins_before_the_first(node: onnx.NodeProto, known: Mapping[str, np.ndarray]) -> bool:
    """Whether a slice goes backwards from before the first element: NumPy keeps none of the axis,
    the standard the first one."""
    if len(node.input) < 5 or not node.input[4]:
        return False
    shape = known[node.input[0]].shape
    starts, steps = (known[node.input[k]].ravel() for k in (1, 4))
    axes = known[node.input[3]].ravel() if node.input[3] else range(len(starts))
    return any(t < 0 and s < -shape[a] for s, t, a in zip(starts, steps, axes, strict=True))


def _size(value: onnx.ValueInfoProto) -> int:
    """The number of elements of a tensor, with unknown extents counted as 0."""
    return math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
