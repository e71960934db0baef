"""Temporary folders. Those that a killed process has left go when the next one is made.

Each has a file that its process keeps locked, and that is free when the process is no more. Knows
no content.
"""

import fcntl
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX, LOCK = "quake_tvm-", "lock"


class Scratch(tempfile.TemporaryDirectory):
    """A temporary folder, until it is cleaned up or its ``with`` block ends."""

    def __init__(self) -> None:
        _remove_abandoned()
        super().__init__(prefix=PREFIX)
        new = Path(self.name, "new")
        self._lock = new.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(new.with_name(LOCK))  # only now do others look at it

    def cleanup(self) -> None:
        """Remove it; again is harmless."""
        super().cleanup()
        self._lock.close()


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
