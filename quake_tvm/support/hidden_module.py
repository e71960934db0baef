"""Keep a package from loading another that it would use if it were installed."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Refusal:
    """A finder of modules that refuses one name in one thread."""

    def __init__(self, name: str) -> None:
        self._name, self._thread = name, threading.get_ident()

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == self._name and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Let imports of a module fail inside the ``with`` block, unless it is loaded already.

    Other threads can import it meanwhile.

    Parameters
    ----------
    name : str
        A module's full name.
    """
    refusal = _Refusal(name)
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)
