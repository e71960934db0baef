"""The key of a build: a digest of everything that it depends on.

That is the model's bytes, options, target, records, the code of this library, and the versions
below it. Knows no pass and no cache.
"""

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import google.protobuf.message
import onnx
import tvm
import tvm_ffi

from .errors import QuakeError
from .importers.onnx.external import LARGE, contents
from .importers.onnx.outline import outline
from .numerics import operators
from .options import Options

_CODE = ("quake_tvm", "quake_tvm.passes", "quake_tvm.schedules")
_SUFFIXES = (".py", ".json", ".jsonl", ".cc", ".c")


def key_of(
    model: Any, target: tvm.target.Target, options: Options, records: Sequence[Path], *more: object
) -> str | None:
    """The key of a build, or None if something that it depends on has no digest.

    Parameters
    ----------
    model
        As for :func:`quake_tvm.compile`. An IRModule has no digest.
    target : tvm.target.Target
    options : Options
        Without a look-up of rungs, which follows from the records.
    records : sequence of Path
        Folders of records.
    *more
        Further options, whose ``repr`` is the same in every process.
    """
    if operators.extended():
        return None
    chosen = replace(options, only=None, skip=frozenset())
    names = (options.only and sorted(options.only)), sorted(options.skip)
    digest = hashlib.sha256()
    context = tvm.transform.PassContext.current()
    facts = (
        str(target), chosen, names, more, _versions(), context.opt_level, str(context.config)
    )  # fmt: skip
    digest.update(repr(facts).encode())
    for place in records:
        for file in sorted(place.rglob("*.jsonl")):
            _add(digest, [str(file.relative_to(place)).encode(), file.read_bytes()])
    try:
        _add(digest, _parts(model))
    except (_NoDigest, QuakeError, OSError):  # what is wrong with a file is told when it is read
        return None
    return digest.hexdigest()


class _NoDigest(Exception):
    """A model of a type that has no digest."""


def _add(digest: Any, parts: Iterable[bytes]) -> None:
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)


@cache
def _versions() -> tuple[object, ...]:
    """Of the code of this library, by its files' sizes and times, and of what it stands on."""
    places = [place for package in _CODE for place in import_module(package).__path__]
    files = []
    for file in sorted({file for place in places for file in _code_files(place)}):
        facts = os.stat(file)
        files.append((file, facts.st_size, facts.st_mtime_ns))
    code = hashlib.sha256(repr(files).encode()).hexdigest()
    llvm = tvm.target.codegen.llvm_version_major()
    return code, tvm.__version__, tvm_ffi.__version__, onnx.__version__, llvm, platform.machine()


def _code_files(place: str) -> Iterator[str]:
    """The files of code in a folder. Paths of pathlib would take three times as long."""
    for folder, _, names in os.walk(place):
        yield from (os.path.join(folder, name) for name in names if name.endswith(_SUFFIXES))


def _parts(model: Any) -> Iterator[bytes]:
    """The bytes of a model."""
    if isinstance(model, str | Path):
        path = Path(model)
        if not path.is_file():  # reading a device might never end
            raise _NoDigest
        yield path.read_bytes()
        try:
            model, _ = outline(path, LARGE)  # a parser of the whole file would copy all weights
        except (ValueError, google.protobuf.message.DecodeError):
            raise _NoDigest from None
        yield from contents(model, path)
    elif isinstance(model, onnx.ModelProto):
        yield model.SerializeToString(deterministic=True)
    elif type(model).__module__.startswith("torch.export"):
        yield from _program(model)
    else:
        raise _NoDigest


def _program(program: Any) -> Iterator[bytes]:
    """A program of torch.export: its text, which has all shapes, and its tensors."""
    import torch

    yield str(program).encode()
    yield repr(program.call_spec).encode()
    for name, tensor in {**program.state_dict, **program.constants}.items():
        if not isinstance(tensor, torch.Tensor):
            raise _NoDigest
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode()
        yield tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
