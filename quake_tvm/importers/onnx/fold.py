"""Evaluate the parts of an ONNX model that compute shapes, and other small constants.

Exporters write dynamic shapes as subgraphs of Shape, Gather, Concat and similar nodes. Once the
inputs' shapes are known, the results are constants, and TVM's importer needs them as constants.
Knows nothing of TVM.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from .branches import take_known

# A constant of more elements than this would cost more to store than to compute.
MAX_FOLDED = 65536
# Dropout is random in training.
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"} | {
    "Multinomial", "Bernoulli", "Dropout"
}  # fmt: skip
# Operators that ONNX's reference evaluator computes differently from the standard.
UNRELIABLE = {"BatchNormalization", "GRU", "LRN", "LSTM", "LpPool", "RNN", "RoiAlign"}


def fold_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Evaluate nodes of static shapes and small constants only, until nothing changes."""
    while True:
        try:
            inferred = shape_inference.infer_shapes(model, data_prop=True)
        except Exception:  # a wrong annotation in the file: the importer decides
            return model
        folded = _fold_once(inferred)
        if not take_known(folded) and len(folded.graph.node) == len(model.graph.node):
            return folded
        model = folded


def _fold_once(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    shapes = {
        v.name: [d.dim_value if d.HasField("dim_value") else None for d in t.shape.dim]
        for v in (*graph.value_info, *graph.input)
        if (t := v.type.tensor_type).HasField("shape")
    }
    known = {
        c.name: numpy_helper.to_array(c)
        for c in graph.initializer
        if int(np.prod(c.dims)) <= MAX_FOLDED
    }
    shapes |= {c.name: list(c.dims) for c in graph.initializer}
    types = element_types(model)
    outputs = {o.name for o in graph.output}
    kept = []
    folded: dict[str, np.ndarray] = {}
    for node in graph.node:
        values = None
        if not outputs & set(node.output):
            values = _shape(node, shapes)
            if values is None:
                values = evaluate(_without_like(node, types), known, model.opset_import)
        if values is None:
            kept.append(node)
        else:
            known |= values
            folded |= values
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(kept)
    used = {name for node in kept for name in _names_used(node)} | outputs
    result.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in folded.items()
        if name in used
    )
    return result


def _names_used(node: onnx.NodeProto) -> set[str]:
    inner = (n for a in node.attribute for n in all_nodes(a.g))
    return {name for n in (node, *inner) for name in n.input}


def _without_like(node: onnx.NodeProto, types: Mapping[str, int]) -> onnx.NodeProto:
    """CastLike as Cast, if the type of its second input is known."""
    if node.op_type != "CastLike" or not types.get(node.input[1]):
        return node
    return helper.make_node("Cast", node.input[:1], node.output, to=types[node.input[1]])


def _shape(
    node: onnx.NodeProto, shapes: Mapping[str, list[int | None]]
) -> dict[str, np.ndarray] | None:
    """The output of Shape if its input's shape is static, else None."""
    if node.op_type != "Shape" or None in shapes.get(node.input[0], [None]):
        return None
    options = {a.name: a.i for a in node.attribute}
    shape = np.array(shapes[node.input[0]], dtype=np.int64)
    return {node.output[0]: shape[options.get("start", 0) : options.get("end")]}


def evaluate(
    node: onnx.NodeProto,
    known: Mapping[str, np.ndarray],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> dict[str, np.ndarray] | None:
    """The node's outputs if they are small constants, else None.

    Parameters
    ----------
    node : onnx.NodeProto
    known : mapping of value name to numpy.ndarray
        The constants.
    opsets : sequence of OperatorSetIdProto
        The model's.
    """
    has_graph = any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute)
    if node.op_type in _RANDOM | UNRELIABLE or has_graph:
        return None
    if not all(i in known or not i for i in node.input):
        return None
    feeds = {name: known[name] for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "fold",
        [],
        [onnx.ValueInfoProto(name=name) for name in node.output],
        [numpy_helper.from_array(value, name) for name, value in feeds.items()],
    )
    alone = helper.make_model(graph, opset_imports=opsets)
    try:
        outputs = shape_inference.infer_shapes(alone).graph.output
        if any(_size(o) > MAX_FOLDED for o in outputs):
            return None
        results = ReferenceEvaluator(alone).run(None, {})
    except Exception:  # an operator without a reference stays for the importer
        return None
    if any(not isinstance(r, np.ndarray) or r.size > MAX_FOLDED for r in results):
        return None
    types = [o.type.tensor_type.elem_type for o in outputs]
    return {
        name: value.astype(helper.tensor_dtype_to_np_dtype(dtype)) if dtype else value
        for name, value, dtype in zip(node.output, results, types, strict=True)
    }


def _size(value: onnx.ValueInfoProto) -> int:
    """The number of elements of a tensor, with unknown extents counted as 0."""
    return math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)


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


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element types that are known, by value name."""
    graph = model.graph
    values = (*graph.value_info, *graph.input)
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    return types | {c.name: c.data_type for c in graph.initializer}
