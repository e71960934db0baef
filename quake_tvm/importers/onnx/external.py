"""Tensors whose data stay in a file: in other files, or in the model's own.

These files may be symbolic links, as in the caches of model hubs, where folders of links point to
folders of content. The locations in a model are not trusted: a location must lie in the model's
folder, or the link's target in the folder of the model's own target. Knows no TVM.
"""

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...errors import QuakeError
from .tensors import is_external, others, size_in_bytes, tensors

# Tensors of fewer bytes are always read: sizes, axes and scales, which the import looks at.
LARGE = 1 << 16


def load_external(model: onnx.ModelProto, path: Path) -> None:
    """Read, in place, the tensors' data from other files.

    Parameters
    ----------
    model : onnx.ModelProto
    path : Path
        The model's file, which may be a link.

    Raises
    ------
    QuakeError
        For a location outside of the model's folder, for a missing file or one that is no regular
        file, and for too few bytes.
    """
    for tensor in tensors(model):
        _load(tensor, path)


def locate_external(model: onnx.ModelProto, path: Path) -> None:
    """Write, in place, where the data of large weights are, and read all others' data.

    Parameters and errors as above.
    """
    for tensor in model.graph.initializer:
        if is_external(tensor) and size_in_bytes(tensor) >= LARGE:
            file, offset, size = _place(tensor, path)
            _open(tensor, file, offset + size).close()
            locate(tensor, file, offset, size)
        else:
            _load(tensor, path)
    for tensor in others(model):
        _load(tensor, path)


def bytes_on_disk(path: Path) -> int:
    """The size of a model's file and of the files with its tensors' data, in bytes."""
    model = onnx.load(path, load_external_data=False)
    files = {_place(tensor, path)[0] for tensor in tensors(model) if is_external(tensor)}
    return sum(file.stat().st_size for file in {path, *files})


def locate(tensor: onnx.TensorProto, file: Path, offset: int, length: int) -> None:
    """Write, in place, where a tensor's data are, for :func:`array`."""
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": file.absolute(), "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))


def array(tensor: onnx.TensorProto) -> np.ndarray:
    """A tensor's value, which is read from its file if it was left there.

    Raises
    ------
    QuakeError
        If the file has changed and is too short.
    """
    if not is_external(tensor):
        return numpy_helper.to_array(tensor)
    given = {entry.key: entry.value for entry in tensor.external_data}
    offset, length = int(given["offset"]), int(given["length"])
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    with _open(tensor, Path(given["location"]), offset + length) as file:
        count = math.prod(tensor.dims)
        if dtype.itemsize * count == length:
            return np.fromfile(file, dtype, count, offset=offset).reshape(tensor.dims)
        file.seek(offset)  # several elements to a byte
        packed = TensorProto(data_type=tensor.data_type, dims=tensor.dims)
        packed.raw_data = file.read(length)
    return numpy_helper.to_array(packed)


def contents(model: onnx.ModelProto, path: Path) -> Iterator[bytes]:
    """The data of the tensors that are in other files; parameters and errors as above."""
    for tensor in tensors(model):
        if is_external(tensor):
            yield _data(tensor, path)


def _load(tensor: onnx.TensorProto, path: Path) -> None:
    if is_external(tensor):
        tensor.raw_data = _data(tensor, path)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def _data(tensor: onnx.TensorProto, path: Path) -> bytes:
    file, offset, size = _place(tensor, path)
    with _open(tensor, file, offset + size) as opened:
        opened.seek(offset)
        return opened.read(size)


def _place(tensor: onnx.TensorProto, path: Path) -> tuple[Path, int, int]:
    """The file, offset and size of a tensor's data, as the model at ``path`` gives them."""
    given = {entry.key: entry.value for entry in tensor.external_data}
    file = _file(tensor, given.get("location", ""), path)
    wanted = size_in_bytes(tensor)
    offset = _number(tensor, given, "offset", 0)
    length = _number(tensor, given, "length", wanted)
    if length != wanted:
        raise QuakeError(
            f"the tensor {tensor.name!r} takes {wanted} bytes, but the file gives it {length}: "
            "save the model again"
        )
    return file, offset, wanted


def _open(tensor: onnx.TensorProto, file: Path, wanted: int) -> BinaryIO:
    """A regular file of at least this many bytes, opened. Raises QuakeError for any other."""
    try:
        opened = os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise QuakeError(
            f"cannot read the tensor {tensor.name!r} in {file}: {error.strerror}; copy the model "
            "with all its files"
        ) from None
    facts = os.fstat(opened.fileno())
    if stat.S_ISREG(facts.st_mode) and wanted <= facts.st_size:
        return opened
    opened.close()
    if not stat.S_ISREG(facts.st_mode):
        raise QuakeError(f"{file}, which has the tensor {tensor.name!r}, is no file: put it there")
    raise QuakeError(
        f"{file} has {facts.st_size} bytes, the tensor {tensor.name!r} needs {wanted}: it is cut "
        "off or of another model; copy the model again with all its files"
    )


def _file(tensor: onnx.TensorProto, location: str, path: Path) -> Path:
    """The file of a location. Raises QuakeError for other names and outside the model's folder."""
    if not location.isprintable():
        raise QuakeError(
            f"the tensor {tensor.name!r} is kept in {location!r}, which is no name of a file: save "
            "the model again"
        )
    place = PurePosixPath(location)
    outside = not location or place.is_absolute() or ".." in place.parts
    file = path.parent / location if not outside else path
    folders = {path.parent.resolve(), path.resolve().parent}
    if outside or not any(file.resolve().is_relative_to(folder) for folder in folders):
        raise QuakeError(
            f"the tensor {tensor.name!r} is kept in {location!r}, outside of the model's folder: "
            "save the model with its data in one folder"
        )
    return file


def _number(tensor: onnx.TensorProto, given: dict[str, str], key: str, default: int) -> int:
    text = given.get(key, str(default))
    if not (text.isascii() and text.isdecimal()):
        raise QuakeError(
            f"the tensor {tensor.name!r} has {key} {text[:40]!r}, which is no number: save the "
            "model again"
        )
    return int(text)
