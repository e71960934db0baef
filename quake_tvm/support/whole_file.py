"""Files that are written whole or not at all. Knows scratch folders and nothing else."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import QuakeError
from .scratch import Scratch


@contextmanager
def whole_file(path: Path, mode: int = 0o666, room: int = 0) -> Iterator[Path]:
    """A temporary file to write. It replaces ``path`` on success and is removed otherwise.

    Parameters
    ----------
    path : Path
        A file that may exist. If it is a link, the link's target is replaced.
    mode : int
        The file's permissions before the process's umask is applied.
    room : int
        Bytes that must be free; for writers that end the process when the disk is full.

    Raises
    ------
    QuakeError
        If the path cannot be written, if there is too little room, or if it is a folder, a device
        or a pipe.
    """
    check_writable(path)
    place = path.resolve()
    try:
        if shutil.disk_usage(place.parent).free < room:
            raise QuakeError(f"cannot write {path}: No space left on device")
        # in the same folder: a file can be moved within one file system only
        with Scratch(place.parent) as folder:
            temporary = Path(folder) / place.name
            temporary.touch()
            yield temporary
            temporary.chmod(mode & ~_umask())
            os.replace(temporary, place)
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror or error}") from None


def check_writable(path: Path, but: Path | None = None) -> None:
    """Refuse a path that no file can be written to, before the work for it is done.

    Parameters
    ----------
    path : Path
    but : Path, optional
        A file that is read and must not be replaced.

    Raises
    ------
    QuakeError
        For a folder, a device or a pipe; for a parent folder that is missing or cannot be written;
        and for the file that is read.
    """
    try:
        found = path.stat().st_mode if path.exists() else None
        folder = path.resolve().parent
        there = folder.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, a loop of links
        reason = getattr(error, "strerror", None) or "no such path"
        raise QuakeError(f"cannot write {path}: {reason}") from None
    if found is not None and not stat.S_ISREG(found):
        what = "a folder" if stat.S_ISDIR(found) else "a device or a pipe"
        raise QuakeError(f"cannot write {path}: it is {what}")
    if not there:
        raise QuakeError(f"cannot write {path}: No such file or directory")
    if but is not None and found is not None and but.exists() and path.samefile(but):
        raise QuakeError(f"cannot write {path}: it is the file that is read; name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise QuakeError(f"cannot write {path}: Permission denied")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
