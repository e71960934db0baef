"""Evaluate the parts of an ONNX model that compute shapes, weights and other constants.

Exporters write dynamic shapes as subgraphs of Shape, Gather, Concat and similar nodes. Once the
inputs' shapes are known, the results are constants, and TVM's importer needs them as constants.
Weights may be computed too, by weight norms and dequantization: layouts are chosen for constants
only.
Knows nothing of TVM.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from .branches import renamed, take_known
from .external import array
from .inference import SMALL, inferred
from .loops import unroll_known
from .nodes import graphs, read_by

# A constant of more elements than this is made only if the tensors that it is made from have as
# many elements, or if all that are larger have no more than MAX_GROWN together.
MAX_FOLDED = 65536
MAX_GROWN = 1 << 24
# Dropout is random in training.
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"} | {
    "Multinomial", "Bernoulli", "Dropout"
}  # fmt: skip
# Operators that ONNX's reference evaluator computes differently from the standard.
UNRELIABLE = {
    *("BatchNormalization", "GRU", "LRN", "LSTM", "LpNormalization", "LpPool", "RNN", "RoiAlign"),
}
# Products with quantized weights are recognised later, so the weights stay as they are.
_KEPT = {"DequantizeLinear"}
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
        if node.op_type in _RANDOM or any(a.HasField("g") for a in node.attribute):
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
    if node.op_type in _RANDOM | UNRELIABLE | _KEPT or has_graph:
        return None
    if not all(i in known or not i for i in node.input):
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
        results = ReferenceEvaluator(alone).run(None, given)
    except Exception:  # an operator without a reference stays for the importer
        return None
    if any(not isinstance(r, np.ndarray) or r.size > limit for r in results):
        return None
    types = [o.type.tensor_type.elem_type for o in outputs]
    return {
        name: value.astype(helper.tensor_dtype_to_np_dtype(dtype)) if dtype else value
        for name, value, dtype in zip(node.output, results, types, strict=True)
    }


def _size(value: onnx.ValueInfoProto) -> int:
    """The number of elements of a tensor, with unknown extents counted as 0."""
    return math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)


def element_types(graph: onnx.GraphProto) -> dict[str, int]:
    """The element types that are known, by value name."""
    values = (*graph.value_info, *graph.input)
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    return types | {c.name: c.data_type for c in graph.initializer}
