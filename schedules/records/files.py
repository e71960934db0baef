"""Files of records: ``<folder>/<machine>/<operator>.jsonl``, one record a line, append only.

Many processes may append to one file at once, and may be killed while they do. A record that was
reported as added stays in the file. A line that was left incomplete is skipped when the file is
read. Python on Windows has no ``flock``, so there the processes must take turns. Knows which line
belongs in which file, not what it is good for.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from quake_tvm.errors import QuakeError

from .record import Record

if sys.platform != "win32":
    import fcntl

# Largest length of a line in bytes. A trace of some hundred steps takes a tenth of this.
LONGEST = 1 << 20
ENDING = ".jsonl"

Line = TypeVar("Line")


class RecordWarning(UserWarning):
    """A file of records, or a record in it, cannot be used."""


def append(folder: Path, record: Record) -> Path:
    """Add a record to its file and return the file's path.

    Parameters
    ----------
    folder : Path
        Created if missing.
    record : Record

    Raises
    ------
    QuakeError
        As in :func:`append_line`.
    """
    path = folder / record.machine.folder / (record.key.operator + ENDING)
    append_line(path, record.to_line())
    return path


def append_line(path: Path, text: str) -> None:
    """Add a line to a file, which is created if missing.

    The line is on the disk when this returns. It stays there even if the process is killed
    afterwards.

    Raises
    ------
    QuakeError
        If the line cannot be written. The file is then unchanged.
    """
    line = text.encode() + b"\n"
    if len(line) > LONGEST:
        raise QuakeError(f"a line of {path} would be longer than it may be: {LONGEST} bytes")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _add(file, line)
        finally:
            os.close(file)  # also releases the lock
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror or error}") from None


def _add(file: int, line: bytes) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)
    size = os.lseek(file, 0, os.SEEK_END)
    if size:
        os.lseek(file, size - 1, os.SEEK_SET)
        if os.read(file, 1) != b"\n":  # a writer was killed within its line
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
    """Raise QuakeError unless the path is a folder that can be read."""
    try:
        os.listdir(folder)
    except OSError as error:
        reason = error.strerror or error
        raise QuakeError(f"cannot read records from {folder}: {reason}") from None


def read(path: Path) -> list[Record]:
    """The valid records of a file, in order.

    Lines that are no records, and records that belong in another file, are skipped with a
    :class:`RecordWarning`.
    """

    def record(line: bytes) -> Record:
        found = Record.from_line(line)
        if found.machine.folder != path.parent.name:
            raise QuakeError("it is of another machine")
        if found.key.operator != path.name.removesuffix(ENDING):
            raise QuakeError("it is of another operator")
        return found

    return read_lines(path, record)


def read_lines(path: Path, parse: Callable[[bytes], Line]) -> list[Line]:
    """Parse each line of a file, in order.

    A line for which ``parse`` raises a QuakeError is skipped. There is one :class:`RecordWarning`
    for each kind of error, which names the first such line.
    """
    found: list[Line] = []
    faults: dict[str, list[int]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                if line.strip():
                    try:
                        found.append(parse(line))
                    except QuakeError as error:
                        faults.setdefault(str(error), []).append(number)
    except OSError as error:
        warnings.warn(f"{path}: {error.strerror or error}", RecordWarning, stacklevel=2)
    for reason, numbers in faults.items():
        others = f" (and {len(numbers) - 1} more lines)" if len(numbers) > 1 else ""
        text = f"{path}:{numbers[0]}: this record is not used{others}: {reason}"
        warnings.warn(text, RecordWarning, stacklevel=2)
    return found


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, each cut off after ``LONGEST`` bytes."""
    while line := file.readline(LONGEST):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST)
