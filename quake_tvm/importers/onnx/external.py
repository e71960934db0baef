"""Tensors that an ONNX file stores in other files.

These files may be symbolic links, as in the caches of model hubs, where folders of links point to
folders of content. The locations in a model are not trusted: a location must lie in the model's
folder, or the link's target in the folder of the model's own target. Knows no TVM.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto

from ...errors import QuakeError
from .tensors import size_in_bytes, tensors


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
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = _data(tensor, path)
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")


def contents(model: onnx.ModelProto, path: Path) -> Iterator[bytes]:
    """The data of the tensors that are in other files; parameters and errors as above."""
    for tensor in tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            yield _data(tensor, path)


def _data(tensor: onnx.TensorProto, path: Path) -> bytes:
    given = {entry.key: entry.value for entry in tensor.external_data}
    file = _file(tensor, given.get("location", ""), path)
    wanted = size_in_bytes(tensor)
    offset = _number(tensor, given, "offset", 0)
    length = _number(tensor, given, "length", wanted)
    if length != wanted:
        raise QuakeError(
            f"the tensor {tensor.name!r} takes {wanted} bytes, but the file gives it {length}"
        )
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise QuakeError(f"{file}, which has the tensor {tensor.name!r}, is no file")
            if offset + wanted > facts.st_size:
                raise QuakeError(
                    f"{file} has {facts.st_size} bytes, the tensor {tensor.name!r} needs "
                    f"{offset + wanted}"
                )
            opened.seek(offset)
            return opened.read(wanted)
    except OSError as error:
        raise QuakeError(
            f"cannot read the tensor {tensor.name!r} in {file}: {error.strerror}"
        ) from None


def _file(tensor: onnx.TensorProto, location: str, path: Path) -> Path:
    """The file of a location. Raises QuakeError if it is outside of the model's folder."""
    place = PurePosixPath(location)
    outside = not location or "\0" in location or place.is_absolute() or ".." in place.parts
    file = path.parent / location if not outside else path
    folders = {path.parent.resolve(), path.resolve().parent}
    if outside or not any(file.resolve().is_relative_to(folder) for folder in folders):
        raise QuakeError(
            f"the tensor {tensor.name!r} is kept in {location!r}, outside of the model's folder"
        )
    return file


def _number(tensor: onnx.TensorProto, given: dict[str, str], key: str, default: int) -> int:
    text = given.get(key, str(default))
    if not (text.isascii() and text.isdecimal()):
        raise QuakeError(f"the tensor {tensor.name!r} has {key} {text[:40]!r}, which is no number")
    return int(text)
