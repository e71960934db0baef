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
    """A file to write that takes the place of ``path`` when all went well, and else goes.

    Parameters
    ----------
    path : Path
        A file or nothing yet. Of a link the target is written.
    mode : int
        Its permissions, less those that the process's umask takes.
    room : int
        Bytes that must be free, where what writes it ends the process when there are none.

    Raises
    ------
    QuakeError
        If it cannot be written, there is too little room, or it is a folder, a device or a pipe.
    """
    check_writable(path)
    place = path.resolve()
    try:
        if shutil.disk_usage(place.parent).free < room:
            raise QuakeError(f"cannot write {path}: No space left on device")
        with Scratch(place.parent) as folder:  # beside it: files move within a file system only
            temporary = Path(folder) / place.name
            temporary.touch()
            yield temporary
            temporary.chmod(mode & ~_umask())
            os.replace(temporary, place)
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror or error}") from None


def check_writable(path: Path, but: Path | None = None) -> None:
    """Refuse a path at which no file can be put, before the work for it is done.

    Parameters
    ----------
    path : Path
    but : Path, optional
        A file that is read, and may not be replaced.

    Raises
    ------
    QuakeError
        For a folder, a device, a pipe, a folder that is missing or cannot be written, and the file
        that is read.
    """
    try:
        found = path.stat().st_mode if path.exists() else None
        folder = path.resolve().parent
        there = folder.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a circle of links
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
    """The process's; to ask is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
