"""Temporary folders. Those that a killed process has left go when the next one is made.

Each has a file that its process keeps locked, and that is free when the process is no more. In a
folder that others write to, their files are not trusted: only this user's are looked at. Knows no
content.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX, LOCK = "quake_tvm-", "lock"
# Seconds after which a folder without a lock has none because its process was killed before.
_UNLOCKED = 3600.0


class Scratch(tempfile.TemporaryDirectory):
    """A temporary folder, until it is cleaned up or its ``with`` block ends.

    Parameters
    ----------
    folder : Path, optional
        Where to make it: by default where the system has such folders.
    """

    def __init__(self, folder: Path | None = None) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()) if folder is None else folder)
        super().__init__(prefix=PREFIX, dir=folder)
        new = Path(self.name, "new")
        self._lock = new.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(new.with_name(LOCK))  # only now do others look at it

    def cleanup(self) -> None:
        """Remove it; again is harmless."""
        super().cleanup()
        self._lock.close()


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                continue
            if _is_abandoned(folder, time.time() - facts.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path, age: float) -> bool:
    """Whether nobody holds the folder's lock, or there is none and should be one by now.

    The lock is opened as a file and nothing else: to open a pipe would be to wait for its writer.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return age > _UNLOCKED
    with os.fdopen(descriptor, "rb"):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
