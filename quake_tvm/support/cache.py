"""What is made or fetched once and kept in the user's cache folder. Knows files only."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import QuakeError


def folder() -> Path:
    """Where it is kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "quake_tvm"


def keep(name: str, make: Callable[[Path], None]) -> Path:
    """An entry of the cache, made where it is missing: whole or not at all.

    Parameters
    ----------
    name : str
        Has everything in it that the content depends on.
    make : callable
        Writes a file or a folder at the path that it is given.

    Raises
    ------
    QuakeError
        If the cache cannot be written, and what ``make`` raises.
    """
    path = folder() / name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
            made = Path(temporary) / path.name
            make(made)
            try:
                os.replace(made, path)
            except OSError:
                if not path.exists():  # else another process has been first
                    raise
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror or error}") from None
    return path
