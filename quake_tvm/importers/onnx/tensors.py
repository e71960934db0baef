"""Check the tensors stored in an ONNX file against their declared types and shapes.

A file may declare one shape and store other data. NumPy and TVM would raise errors that name no
tensor, or read past the end of the data. Knows no TVM.
"""

import math
from collections.abc import Iterable, Iterator

import onnx
from onnx import TensorProto, helper

from ...errors import QuakeError
from .inference import inferred
from .nodes import all_nodes

# Packed types, with the number of elements per byte.
_PACKED = {
    getattr(TensorProto, name): count
    for name, count in {"INT4": 2, "UINT4": 2, "FLOAT4E2M1": 2, "INT2": 4, "UINT2": 4}.items()
    if hasattr(TensorProto, name)
}
_COMPLEX = {TensorProto.COMPLEX64, TensorProto.COMPLEX128}
# Types that the importer can turn into constants.
_HELD = {
    *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16),
    *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
    *(TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.BOOL),
}
# Types that TVM computes as the standard says.
_COMPUTED = _HELD - {TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2}
_DATA = (
    *("raw_data", "float_data", "int32_data", "string_data"),
    *("int64_data", "double_data", "uint64_data"),
)


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a model: initializers, parts of sparse ones, and tensors in nodes of graphs
    and functions."""
    yield from model.graph.initializer
    yield from others(model)


def others(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The tensors of a model but for its dense initializers."""
    yield from _parts(model.graph.sparse_initializer)
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            yield from _of_node(node)


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's data are in a file and not in the message."""
    return tensor.data_location == TensorProto.EXTERNAL


def check_tensors(model: onnx.ModelProto) -> None:
    """Refuse tensors whose data do not match their declared type and shape.

    Raises
    ------
    QuakeError
        With the tensor's name.
    """
    for tensor in tensors(model):
        check_tensor(tensor)


def check_types(model: onnx.ModelProto) -> None:
    """Refuse values of types that TVM does not support, or computes wrongly as 8-bit floats.

    Constants of such types that nothing reads are removed in place.

    Raises
    ------
    QuakeError
        With the operator that makes or reads the value, its name and its type.
    """
    _check_constants(model)
    try:
        known = inferred(model)
    except Exception:  # a wrong annotation in the file: the importer decides
        return
    types = {v.name: v.type.tensor_type.elem_type for v in (*known.value_info, *known.output)}
    types |= {v.name: v.type.tensor_type.elem_type for v in known.input}
    for value in known.input:
        if types[value.name] and types[value.name] not in _COMPUTED:
            raise _unsupported("the input", value.name, types[value.name])
    for node in model.graph.node:
        for name in node.output:
            if types.get(name) and types[name] not in _COMPUTED:
                raise _unsupported(f"{node.op_type} makes", name, types[name])


def _unsupported(what: str, name: str, kind: int) -> QuakeError:
    return QuakeError(
        f"{what} {name!r} of type {_named(kind)}, which is not supported: store it as another type"
    )


def _check_constants(model: onnx.ModelProto) -> None:
    odd = {c.name: c for c in model.graph.initializer if c.data_type not in _HELD}
    if not odd:
        return
    for node in all_nodes(model.graph):
        for name in node.input:
            if name in odd:
                raise _unsupported(f"{node.op_type} reads", name, odd[name].data_type)
    for constant in odd.values():
        model.graph.initializer.remove(constant)


def size_in_bytes(tensor: onnx.TensorProto) -> int:
    """The size in bytes that a tensor's raw data should have.

    Raises
    ------
    QuakeError
        For an unknown type, for strings, and for negative extents.
    """
    count = _count(tensor)
    if tensor.data_type == TensorProto.STRING:
        raise QuakeError(f"the tensor {tensor.name!r} of strings has no raw data")
    packed = _PACKED.get(tensor.data_type)
    if packed:
        return -(-count // packed)
    return count * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _parts(graph.sparse_initializer)
    for node in graph.node:
        yield from _of_node(node)


def _parts(sparse: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices


def _of_node(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield from _parts([attribute.sparse_tensor])
        yield from attribute.tensors
        for graph in (attribute.g, *attribute.graphs):
            yield from _of_graph(graph)


def _count(tensor: onnx.TensorProto) -> int:
    """The number of elements that the extents declare."""
    try:
        helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, TypeError):
        raise QuakeError(
            f"the tensor {tensor.name!r} has type {tensor.data_type}, which does not exist"
        ) from None
    if min(tensor.dims, default=0) < 0:
        raise QuakeError(f"the tensor {tensor.name!r} has a negative extent: {[*tensor.dims]}")
    return math.prod(tensor.dims)


def check_tensor(tensor: onnx.TensorProto) -> None:
    """Refuse a tensor whose data do not match its declared type and shape: QuakeError."""
    count = _count(tensor)
    if is_external(tensor):
        lengths = (entry.value for entry in tensor.external_data if entry.key == "length")
        _compare(tensor, size_in_bytes(tensor), int(next(lengths)), "bytes")
        return
    sizes = {name: len(getattr(tensor, name)) for name in _DATA}  # each access copies the data
    fields = [name for name, size in sizes.items() if size]
    if tensor.HasField("raw_data") and fields in ([], ["raw_data"]):
        wanted, held, unit = size_in_bytes(tensor), sizes["raw_data"], "bytes"
    else:
        field = helper.tensor_dtype_to_field(tensor.data_type)
        if fields not in ([], [field]):
            raise QuakeError(
                f"the tensor {tensor.name!r} of type {_kind(tensor)} has its data in "
                f"{' and '.join(fields)}"
            )
        entries = -(-count // _PACKED.get(tensor.data_type, 1))
        wanted = 2 * entries if tensor.data_type in _COMPLEX else entries
        held, unit = sizes[field], "elements"
    _compare(tensor, wanted, held, unit)


def _compare(tensor: onnx.TensorProto, wanted: int, held: int, unit: str) -> None:
    if wanted != held:
        raise QuakeError(
            f"the tensor {tensor.name!r} is {_kind(tensor)}{[*tensor.dims]}, {wanted} {unit}, but "
            f"the file has {held}: export the model again"
        )


def _kind(tensor: onnx.TensorProto) -> str:
    return _named(tensor.data_type)


def _named(kind: int) -> str:
    return TensorProto.DataType.Name(kind).lower()
