"""The user's cache folder, for results that are made or fetched once. Knows files only."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import QuakeError


def folder() -> Path:
    """The cache folder.

    Raises
    ------
    QuakeError
        If neither the environment nor the system knows the user's home.
    """
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "quake_tvm"
    try:
        return Path.home() / ".cache" / "quake_tvm"
    except RuntimeError:
        raise QuakeError("there is no cache folder: set XDG_CACHE_HOME, or HOME") from None


def keep(name: str, make: Callable[[Path], None]) -> Path:
    """An entry of the cache. A missing entry is made, whole or not at all.

    Parameters
    ----------
    name : str
        Must contain everything that the content depends on.
    make : callable
        Writes a file or a folder at the path that it is given.

    Returns
    -------
    Path

    Raises
    ------
    QuakeError
        If the cache cannot be written; also what ``make`` raises.
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
                if not path.exists():  # otherwise another process made it first
                    raise
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror or error}") from None
    return path
