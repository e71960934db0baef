"""One thread at a time in TVM's compiler.

TVM's importers, builders and operator libraries keep what they are at in places that all threads
share, and refuse a valid model when another thread is there, too. A forked child has a lock of its
own. Knows nothing else.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def compiling() -> Iterator[None]:
    """Have the compiler to oneself; again in the same thread is harmless."""
    with _lock:
        yield


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
