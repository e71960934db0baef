"""Read an ONNX file without the data of its large weights, and find where in the file these are.

A parser of the format would copy all data, and be asked to copy them again with each copy of the
model. Knows the format's messages as far as the tensors, and no operator.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx

# The numbers of fields in the format's definition (onnx.proto).
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
# The fields of a tensor with raw data: dims, type, segment, name, data, text, notes. A tensor with
# others is read whole.
_DESCRIBED = {1, 2, 3, 8, _RAW_DATA, 12, 16}
# The kinds of fields: numbers of variable length and of 8 and 4 bytes, and messages or bytes.
_VARYING, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


@dataclass(frozen=True)
class _Field:
    """A field's number, and its place in the file: from its tag, and from its content."""

    number: int
    kind: int
    start: int
    content: int
    stop: int


def outline(path: Path, least: int) -> tuple[onnx.ModelProto, dict[int, tuple[int, int]]]:
    """A model, and the places of data that were left in its file.

    Parameters
    ----------
    path : Path
    least : int
        Tensors of no more bytes are read whole.

    Returns
    -------
    model : onnx.ModelProto
    places : dict of int to (int, int)
        For the positions of initializers without data: their data's offset and length in bytes.

    Raises
    ------
    ValueError
        For a file that is no message of fields.
    google.protobuf.message.DecodeError
        For one whose fields are not those of a model.
    """
    model = onnx.ModelProto()
    places: dict[int, tuple[int, int]] = {}
    with path.open("rb") as file:
        for field in _fields(file, 0, os.fstat(file.fileno()).st_size):
            if field.number == _GRAPH and field.kind == _BYTES:
                _read_graph(file, field, least, model.graph, places)
            else:
                model.MergeFromString(_read(file, field.start, field.stop))
    return model, places


def _read_graph(
    file: BinaryIO,
    given: _Field,
    least: int,
    graph: onnx.GraphProto,
    places: dict[int, tuple[int, int]],
) -> None:
    """Read a graph's fields into ``graph``, but for the data whose places go to ``places``."""
    start = given.content
    for field in _fields(file, given.content, given.stop):
        large = field.number == _INITIALIZER and field.stop - field.content > least
        parts = list(_fields(file, field.content, field.stop)) if large else []
        data = next((part for part in parts if part.number == _RAW_DATA), None)
        if data is None or {part.number for part in parts} - _DESCRIBED:
            continue
        graph.MergeFromString(_read(file, start, field.start))
        tensor = graph.initializer.add()
        for part in parts:
            if part is not data:
                tensor.MergeFromString(_read(file, part.start, part.stop))
        places[len(graph.initializer) - 1] = data.content, data.stop - data.content
        start = field.stop
    graph.MergeFromString(_read(file, start, given.stop))


def _fields(file: BinaryIO, start: int, stop: int) -> Iterator[_Field]:
    """The fields of a message between two places in the file."""
    while start < stop:
        file.seek(start)
        tag = _number(file)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError("it is not in the format of ONNX files")
        if kind == _VARYING:
            content, end = file.tell(), file.tell() + len(_digits(file))
        elif kind == _BYTES:
            length = _number(file)
            content = file.tell()
            end = content + length
        elif kind in (_EIGHT, _FOUR):
            content = file.tell()
            end = content + (8 if kind == _EIGHT else 4)
        else:
            raise ValueError("it is not in the format of ONNX files")
        if end > stop:
            raise ValueError("it ends too early, as after a copy that broke off")
        yield _Field(number, kind, start, content, end)
        start = end


def _digits(file: BinaryIO) -> bytes:
    """The bytes of a number of variable length: all but the last have their highest bit set."""
    found = b""
    while not found or found[-1] >= 128:
        byte = file.read(1)
        if not byte or len(found) == 10:
            raise ValueError("it is not in the format of ONNX files")
        found += byte
    return found


def _number(file: BinaryIO) -> int:
    return sum((byte & 127) << (7 * k) for k, byte in enumerate(_digits(file)))


def _read(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)
