"""Evaluate the parts of an ONNX model that compute shapes, weights and other constants.

Exporters write dynamic shapes as subgraphs of Shape, Gather, Concat and similar nodes. Once the
inputs' shapes are known, the results are constants, and TVM's importer needs them as constants.
Weights may be computed too, by weight norms and dequantization: layouts are chosen for constants
only.
Knows nothing of TVM.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .branches import renamed, take_known
from .evaluate import MAX_FOLDED, RANDOM, evaluate
from .external import array
from .inference import inferred
from .loops import unroll_known
from .nodes import graphs, read_by
from .unread import without_unread

# Constants of more elements than MAX_FOLDED are made only if the tensors that they are made from
# have as many elements, or if all that are larger have no more than this together.
MAX_GROWN = 1 << 24
# Operators that the reference computes with loops in Python: only small ones are evaluated.
_SLOW = {
    *("AveragePool", "Col2Im", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv"),
    *("GatherND", "GridSample", "MaxPool", "MaxUnpool", "NonMaxSuppression", "QLinearConv"),
    *("Resize", "STFT", "ScatterElements", "ScatterND", "TopK", "Unique", "Upsample"),
}


def fold_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Evaluate, in place, nodes of static shapes and constants only, until nothing changes."""
    _merge_equal(model)
    known = {c.name: c for c in model.graph.initializer}
    room = MAX_GROWN
    while True:
        try:
            types = inferred(model)
        except Exception:  # a wrong annotation in the file: the importer decides
            break
        count = len(model.graph.node)
        shapes = _shapes(types, known)
        room -= _fold_once(model, types, shapes, known, room)
        changed = take_known(model) | unroll_known(model, known, shapes)
        if not changed and len(model.graph.node) == count:
            break
        known |= {c.name: c for c in model.graph.initializer}
    without_unread(model)
    _drop_unused(model)
    return model


def _fold_once(
    model: onnx.ModelProto,
    types: onnx.GraphProto,
    shapes: Mapping[str, list[int | None]],
    known: dict[str, onnx.TensorProto],
    room: int,
) -> int:
    """Evaluate nodes in place, and add their values to ``known``; returns how much larger they are
    than what they are made from."""
    graph, grown = model.graph, 0
    dtypes = element_types(types) | {name: c.data_type for name, c in known.items()}
    outputs = {o.name for o in graph.output}
    kept = []
    for node in graph.node:
        values = None if outputs & set(node.output) else _shape(node, shapes)
        if values is None and not outputs & set(node.output):
            values = _constant(node)
        plain = _without_like(node, dtypes)
        if values is None and not outputs & set(node.output) and _readable(plain, known):
            given = {name: known[name] for name in plain.input if name}
            size = sum(math.prod(c.dims) for c in given.values())
            if node.op_type in _SLOW:
                limit = MAX_FOLDED if size <= MAX_FOLDED else 0
            else:
                limit = max(MAX_FOLDED, size, room - grown)
            arrays = {name: array(c) for name, c in given.items()}
            found = evaluate(plain, arrays, model.opset_import, limit)
            if found is not None:
                values = {k: numpy_helper.from_array(np.asarray(v), k) for k, v in found.items()}
                made = sum(np.size(v) for v in found.values())
                grown += made if made > max(MAX_FOLDED, size) else 0
        if values is None:
            kept.append(node)
            continue
        known |= values
        graph.initializer.extend(values.values())
    del graph.node[:]
    graph.node.extend(kept)
    return grown


def _shapes(
    types: onnx.GraphProto, known: Mapping[str, onnx.TensorProto]
) -> dict[str, list[int | None]]:
    """The extents of all values of known rank."""
    shapes = {
        v.name: [d.dim_value if d.HasField("dim_value") else None for d in t.shape.dim]
        for v in (*types.value_info, *types.input)
        if (t := v.type.tensor_type).HasField("shape")
    }
    return shapes | {name: list(c.dims) for name, c in known.items()}


def _readable(node: onnx.NodeProto, known: Mapping[str, onnx.TensorProto]) -> bool:
    return all(name in known or not name for name in node.input)


def _constant(node: onnx.NodeProto) -> dict[str, onnx.TensorProto] | None:
    """The tensor of a Constant node, which the rewrites have given this form; else None."""
    if node.op_type != "Constant" or node.domain:
        return None
    value = next((a.t for a in node.attribute if a.name == "value"), None)
    if value is None:
        return None
    tensor = onnx.TensorProto()
    tensor.CopyFrom(value)
    tensor.name = node.output[0]
    return {tensor.name: tensor}


def _merge_equal(model: onnx.ModelProto) -> None:
    """Compute equal expressions of constants once: replace, in place, the later nodes' outputs."""
    graph = model.graph
    constant = {c.name for c in graph.initializer}
    outputs = {o.name for o in graph.output}
    first: dict[bytes, list[str]] = {}
    names: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if names.keys() & read_by(node):
            node = renamed(node, names)
        kept.append(node)
        if not all(name in constant or not name for name in node.input) or not node.input:
            continue
        if node.op_type in RANDOM or any(a.HasField("g") for a in node.attribute):
            continue
        constant |= set(node.output)
        bare = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=node.input)
        bare.attribute.extend(sorted(node.attribute, key=lambda a: a.name))
        before = first.setdefault(bare.SerializeToString(), list(node.output))
        same = [bool(name) for name in before] == [bool(name) for name in node.output]
        if before != list(node.output) and same and not outputs & set(node.output):
            names |= {new: old for new, old in zip(node.output, before, strict=True) if new}
            kept.pop()
    del graph.node[:]
    graph.node.extend(kept)


def _drop_unused(model: onnx.ModelProto) -> None:
    """Remove, in place, the constants that nothing reads."""
    graph = model.graph
    used = {name for node in graph.node for name in read_by(node)}
    used |= {o.name for o in graph.output}
    used |= {o.name for g in graphs(graph) for o in g.output}
    unused = {c.name for c in graph.initializer} - used
    for field in (graph.initializer, graph.input):
        for k in reversed(range(len(field))):
            if field[k].name in unused:
                del field[k]


def _without_like(node: onnx.NodeProto, types: Mapping[str, int]) -> onnx.NodeProto:
    """CastLike as Cast, if the type of its second input is known."""
    if node.op_type != "CastLike" or not types.get(node.input[1]):
        return node
    return helper.make_node("Cast", node.input[:1], node.output, to=types[node.input[1]])


def _shape(
    node: onnx.NodeProto, shapes: Mapping[str, list[int | None]]
) -> dict[str, onnx.TensorProto] | None:
    """The output of Shape if its input's shape is static, else None."""
    if node.op_type != "Shape" or None in shapes.get(node.input[0], [None]):
        return None
    options = {a.name: a.i for a in node.attribute}
    shape = np.array(shapes[node.input[0]], dtype=np.int64)
    part = shape[options.get("start", 0) : options.get("end")]
    return {node.output[0]: numpy_helper.from_array(part, node.output[0])}


def element_types(graph: onnx.GraphProto) -> dict[str, int]:
    """The element types that are known, by value name."""
    values = (*graph.value_info, *graph.input)
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    return types | {c.name: c.data_type for c in graph.initializer}
