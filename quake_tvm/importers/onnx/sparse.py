"""Make sparse tensors dense: initializers, and the values of Constant nodes. Knows no TVM."""

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...errors import QuakeError
from .tensors import check_tensor, size_in_bytes

# A message of the format holds less than 2 GB.
_MOST_BYTES = 1 << 31
Body = onnx.GraphProto | onnx.FunctionProto


def with_dense(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself if it has no sparse tensors, else a copy in which they are dense.

    Raises
    ------
    QuakeError
        For indices that do not fit the shape or the values, for an index that is given twice, for
        strings, and for a dense tensor of 2 GB or more.
    """
    if not any(map(_is_sparse, _bodies(model))):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for body in _bodies(copy):
        _make_dense(body)
    return copy


def _bodies(model: onnx.ModelProto) -> Iterator[Body]:
    """The model's graph and functions, and the branches and loop bodies in them."""
    left: list[Body] = [model.graph, *model.functions]
    while left:
        body = left.pop()
        yield body
        left += [a.g for node in body.node for a in node.attribute if a.HasField("g")]


def _is_sparse(body: Body) -> bool:
    if isinstance(body, onnx.GraphProto) and body.sparse_initializer:
        return True
    return any(a.HasField("sparse_tensor") for node in body.node for a in node.attribute)


def _make_dense(body: Body) -> None:
    if isinstance(body, onnx.GraphProto):
        dense = [_dense(sparse, sparse.values.name) for sparse in body.sparse_initializer]
        body.initializer.extend(dense)
        del body.sparse_initializer[:]
    for node in body.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("sparse_tensor"):
                value = _dense(attribute.sparse_tensor, node.output[0])
                attribute.CopyFrom(helper.make_attribute("value", value))


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    shape = list(sparse.dims)
    dense = TensorProto(name=name, data_type=sparse.values.data_type, dims=shape)
    if not shape:
        raise _refused(name, "has no dimensions")
    if dense.data_type == TensorProto.STRING:
        raise _refused(name, "has strings, which cannot be compiled")
    if size_in_bytes(dense) >= _MOST_BYTES:
        raise _refused(name, f"of the shape {shape} has 2 GB or more when dense: make it smaller")
    check_tensor(sparse.values)
    values = numpy_helper.to_array(sparse.values).reshape(-1)
    places = _places(sparse, name, len(values))
    flat = np.zeros(math.prod(shape), values.dtype)
    flat[places] = values
    return numpy_helper.from_array(flat.reshape(shape), name)


def _places(sparse: onnx.SparseTensorProto, name: str, count: int) -> np.ndarray:
    """The positions of the values in the flattened tensor."""
    shape = list(sparse.dims)
    if not count and not sparse.HasField("indices"):
        return np.zeros(0, np.int64)
    check_tensor(sparse.indices)
    indices = numpy_helper.to_array(sparse.indices)
    if indices.shape not in ((count,), (count, len(shape))) or indices.dtype != np.int64:
        raise _refused(
            name,
            f"has indices {indices.dtype}{list(indices.shape)}, and needs int64[{count}] or "
            f"int64[{count}, {len(shape)}]",
        )
    rows = indices if indices.ndim == 2 else indices[:, None]
    sizes = shape if indices.ndim == 2 else [math.prod(shape)]
    wrong = ((rows < 0) | (rows >= np.array(sizes))).any(axis=1)
    if np.any(wrong):
        first = indices[wrong][0].tolist()
        raise _refused(name, f"has a value for the element {first}, outside of its shape {shape}")
    places = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices
    if len(np.unique(places)) < count:
        raise _refused(name, "has two values for one element")
    return places


def _refused(name: str, what: str) -> QuakeError:
    return QuakeError(f"the sparse tensor {name!r} {what}")
