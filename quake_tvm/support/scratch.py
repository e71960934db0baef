"""Temporary folders. Making one removes folders that killed processes left behind.

Each folder has a file that its process keeps locked; the lock is free when the process has ended.
In a shared folder other users' files are not trusted: only this user's folders are examined. Knows
no content.
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
# Seconds after which a folder without a lock file counts as abandoned: its process was killed
# before making one.
_UNLOCKED = 3600.0


class Scratch(tempfile.TemporaryDirectory):
    """A temporary folder, until it is cleaned up or its ``with`` block ends.

    Parameters
    ----------
    folder : Path, optional
        The parent folder; by default the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()) if folder is None else folder)
        super().__init__(prefix=PREFIX, dir=folder)
        new = Path(self.name, "new")
        self._lock = new.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(new.with_name(LOCK))  # other processes examine the folder only from now on

    def cleanup(self) -> None:
        """Remove the folder. Calling it again has no effect."""
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
    """Whether no process holds the folder's lock, or an old folder has no lock file.

    The lock file is opened without blocking and only if it is a regular file: opening a pipe would
    wait for its writer.
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
