"""A lock that lets one thread at a time use TVM's compiler.

TVM's importers, builders and operator libraries keep their state in places that all threads share.
They refuse a valid model if another thread uses them at the same time. A forked child gets a new
lock. Knows nothing else.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def compiling() -> Iterator[None]:
    """Hold the compiler's lock. The lock is reentrant."""
    with _lock:
        yield


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
