"""Keep a package from loading another that it would use if it were installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Let imports of a module fail inside the ``with`` block, unless it is loaded already.

    Parameters
    ----------
    name : str
        A module's full name.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
