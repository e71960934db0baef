"""Records in files: ``<folder>/<machine>/<operator>.jsonl``, a line each, only ever added to.

Many processes may add to one file at once and be killed while they do: what was reported as added
stays, and what they leave half-written is skipped. (But on Windows, whose Python has no ``flock``,
they must take turns.) Knows which line belongs in which file, not what it is good for.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from quake_tvm.errors import QuakeError

from .record import Record

try:
    import fcntl
except ImportError:
    fcntl = None

# Bytes of a line: some hundred steps of a trace are a tenth of this.
LONGEST = 1 << 20
ENDING = ".jsonl"


class RecordWarning(UserWarning):
    """Something in a file of records, or a record in it, cannot be used."""


def append(folder: Path, record: Record) -> Path:
    """Add a record to its file.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    record : Record

    Returns
    -------
    Path
        Of the file. The record is on the disk and stays there, whatever becomes of this process.

    Raises
    ------
    QuakeError
        If it cannot be written; the file is then as it was.
    """
    path = folder / record.machine.folder / (record.key.operator + ENDING)
    line = record.to_line().encode() + b"\n"
    if len(line) > LONGEST:
        raise QuakeError(f"a record of {record.key} is longer than a line may be: {LONGEST} bytes")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _add(file, line)
        finally:
            os.close(file)  # and with it the lock
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _add(file: int, line: bytes) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)
    size = os.lseek(file, 0, os.SEEK_END)
    if size:
        os.lseek(file, size - 1, os.SEEK_SET)
        if os.read(file, 1) != b"\n":  # a writer died within its line
            line = b"\n" + line
    try:
        if os.write(file, line) < len(line):
            raise OSError(None, "no space is left for it")
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def check_folder(folder: Path) -> None:
    """Raise QuakeError unless it is a folder that can be read."""
    try:
        os.listdir(folder)
    except OSError as error:
        reason = error.strerror or error
        raise QuakeError(f"cannot read records from {folder}: {reason}") from None


def read(path: Path) -> list[Record]:
    """The records in a file, in their order.

    A line that is none, or does not belong there, is skipped with a :class:`RecordWarning` for each
    kind of fault, which names the first such line.
    """
    records: list[Record] = []
    faults: dict[str, list[int]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                if line.strip():
                    found = _record(line, path)
                    if isinstance(found, Record):
                        records.append(found)
                    else:
                        faults.setdefault(found, []).append(number)
    except OSError as error:
        warnings.warn(f"{path}: {error.strerror or error}", RecordWarning, stacklevel=2)
    for reason, numbers in faults.items():
        others = f" (and {len(numbers) - 1} more lines)" if len(numbers) > 1 else ""
        text = f"{path}:{numbers[0]}: this record is not used{others}: {reason}"
        warnings.warn(text, RecordWarning, stacklevel=2)
    return records


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; of those that are too long only the beginning."""
    while line := file.readline(LONGEST):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST)


def _record(line: bytes, path: Path) -> Record | str:
    """The line's record, or why it has none that belongs into this file."""
    try:
        record = Record.from_line(line)
    except QuakeError as error:
        return str(error)
    if record.machine.folder != path.parent.name:
        return "it is of another machine"
    if record.key.operator != path.name.removesuffix(ENDING):
        return "it is of another operator"
    return record
