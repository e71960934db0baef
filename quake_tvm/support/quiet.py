"""Keep TVM's internal messages off standard error.

TVM's executables print a warning for each constant when they are saved or loaded after a run, and
TVM's default pipeline prints one for each gather. There is no option to turn this off. Standard
error belongs to the whole process, so all other output is passed on. Knows these notes only.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NOTES = (b"Scope Saving:", b"Scope Loaded:", b"Fast mode segfaults")
_STANDARD_ERROR = 2
_lock = threading.Lock()


@contextmanager
def without_notes() -> Iterator[None]:
    """Print everything but TVM's notes at the end of the ``with`` block. One thread at a time."""
    with _lock, tempfile.TemporaryFile() as caught:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            own = os.dup(_STANDARD_ERROR)
        except OSError:  # standard error is closed
            yield
            return
        os.dup2(caught.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(own, _STANDARD_ERROR)
            caught.seek(0)
            lines = [line for line in caught if not any(note in line for note in _NOTES)]
            with os.fdopen(own, "wb") as standard_error:
                standard_error.writelines(lines)


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()  # the lock's holder may not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
