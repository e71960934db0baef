"""Compiled models kept on disk, so that a second start loads what the first one compiled.

A damaged entry is compiled again. Knows files; :mod:`build_key` makes the keys.
"""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import QuakeError
from .runtime.model import Model, load
from .support import cache as user_cache

logger = logging.getLogger(__name__)

# Bytes of the folder beyond which the builds that were used longest ago are removed.
LIMIT = 4 << 30


@dataclass(frozen=True)
class Build:
    """One kept build: its file, its size in bytes, and when it was last used (seconds)."""

    path: Path
    size: int
    used: float


def folder() -> Path:
    """The folder of the builds."""
    return user_cache.folder() / "builds"


def builds() -> list[Build]:
    """The kept builds, those used last first."""
    found = []
    for path in folder().glob("*.so"):
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process removed it
            continue
        found.append(Build(path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda build: build.used, reverse=True)


def clear(limit: int = 0) -> list[Build]:
    """Remove the builds beyond a number of bytes, those used longest ago first; return them.

    Raises
    ------
    QuakeError
        If a file cannot be removed.
    """
    removed, total = [], 0
    for build in builds():
        total += build.size
        if total > limit:
            try:
                build.path.unlink(missing_ok=True)
            except OSError as error:
                raise QuakeError(f"cannot remove {build.path}: {error.strerror}") from None
            removed.append(build)
    return removed


def find(key: str) -> Model | None:
    """The build of a key, or None. A damaged one is removed."""
    try:
        path = folder() / f"{key}.so"
        if not path.is_file():
            return None
    except (QuakeError, OSError):  # no folder, or one that may not be read: keep() says so
        return None
    try:
        model = load(path)
    except QuakeError as error:
        logger.warning("a kept build is compiled anew: %s", error)
        with suppress(OSError):  # a folder that may only be read
            path.unlink()
        return None
    with suppress(OSError):
        os.utime(path)
    logger.info("loaded the kept build %s", path)
    return model


def keep(key: str, model: Model) -> None:
    """Write a build, and remove old ones beyond ``LIMIT``. A failure is only logged."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        model.export(folder() / f"{key}.so")
        clear(LIMIT)
    except OSError as error:
        logger.warning("the build is not kept: %s: %s", error.strerror, error.filename)
    except QuakeError as error:
        logger.warning("the build is not kept: %s", error)
