"""What a caller gives, checked for its type before it is used. Knows no option by name."""

import math
import operator
import os
from pathlib import Path
from typing import Any

from .errors import QuakeError


def path(value: Any, what: str) -> Path:
    """A path that the system can look up; whether there is a file is another matter.

    Raises
    ------
    QuakeError
        For another type, and names that no file can have.
    """
    if not isinstance(value, str | os.PathLike):
        raise QuakeError(f"{what} must be a path, not {value!r:.60}")
    try:
        found = Path(value)
        found.is_dir()
        if "\0" in str(found):
            raise QuakeError(f"{what} {str(value)[:60]!r} is no path")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has a null character"
        raise QuakeError(f"{what} {str(value)[:60]!r} is no path: {reason}") from None
    return found


def number(value: Any, what: str) -> float:
    """A number that is not NaN, nor a truth value.

    Raises
    ------
    QuakeError
        For anything else.
    """
    try:
        found = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if math.isnan(found):
        raise QuakeError(f"{what} must be a number, not {value!r:.60}")
    return found


def count(value: Any, what: str, most: int = 2**31 - 1) -> int:
    """A whole number from 1 on.

    Raises
    ------
    QuakeError
        For anything else.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = 0
    if not 1 <= found <= most or isinstance(value, bool):
        raise QuakeError(f"{what} must be a whole number from 1 to {most}, not {value!r:.60}")
    return found
