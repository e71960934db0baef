"""Checks of the types and values of arguments before they are used. Knows no option by name."""

import keyword
import math
import operator
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import QuakeError

# More would overflow TVM's byte counts, even if another size is 0.
_MOST_ELEMENTS = 2**48
_DAY = 24 * 3600.0


def path(value: Any, what: str) -> Path:
    """A path that the operating system accepts. The file need not exist.

    Raises
    ------
    QuakeError
        For another type, and for names that no file can have.
    """
    if not isinstance(value, str | os.PathLike):
        raise QuakeError(f"{what} must be a path, not {value!r:.60}")
    if not os.fspath(value):
        raise QuakeError(f"{what} must be a path, and is empty")
    try:
        found = Path(value)
        found.is_dir()
        if "\0" in str(found):
            raise QuakeError(f"{what} {str(value)[:60]!r} is no path")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has a null character"
        raise QuakeError(f"{what} {str(value)[:60]!r} is no path: {reason}") from None
    return found


def file(value: Any, what: str, suffix: str) -> Path:
    """A file that exists.

    Parameters
    ----------
    value
    what : str
        The argument's name in error messages.
    suffix : str
        How names of such files end.

    Raises
    ------
    QuakeError
        For anything else: a folder, a device, a pipe, a path that may not be looked up.
    """
    found = path(value, what)
    try:
        if found.is_dir():
            raise QuakeError(f"{found} is a folder: give the {suffix} file in it")
        if not found.is_file():
            kind = "a device or a pipe, not a file" if found.exists() else ""
            raise QuakeError(f"{found} is {kind}" if kind else f"no such file: {found}")
    except OSError as error:
        raise QuakeError(f"cannot read {found}: {error.strerror}") from None
    return found


def number(value: Any, what: str) -> float:
    """A number, except NaN and booleans.

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


def count(value: Any, what: str, most: int = 2**31 - 1, least: int = 1) -> int:
    """A whole number from ``least`` to ``most``.

    Parameters
    ----------
    value
    what : str
        The argument's name in error messages.
    most, least : int

    Raises
    ------
    QuakeError
        For anything else.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = least - 1
    if not least <= found <= most or isinstance(value, bool):
        raise QuakeError(f"{what} must be a whole number from {least} to {most}, not {value!r:.60}")
    return found


def calls(value: Any, what: str) -> list[Any]:
    """The inputs of some calls, each as ``Model.run`` takes them.

    Raises
    ------
    QuakeError
        For the inputs of one call where those of several are asked for, and for none.
    """
    single = isinstance(value, Mapping | str | bytes) or hasattr(value, "dtype")
    if single or not isinstance(value, Iterable):
        kind = type(value).__name__
        raise QuakeError(f"{what} must be a list of the inputs of each call, [inputs], not {kind}")
    found = list(value)
    if not found:
        raise QuakeError(f"{what} has no inputs: give those of some typical calls")
    return found


def shape(value: Any, what: str) -> list[int]:
    """The shape of a tensor.

    Raises
    ------
    QuakeError
        For anything but a sequence of whole numbers from 0 on, and for too many elements.
    """
    try:
        found = [operator.index(n) for n in value]
    except TypeError:
        raise QuakeError(
            f"the shape of {what} is whole numbers, as (1, 128), not {value!r:.60}"
        ) from None
    if any(n < 0 for n in found):
        raise QuakeError(f"the shape {(*found,)!s:.60} of {what} has a negative size")
    if math.prod(max(n, 1) for n in found) > _MOST_ELEMENTS:
        raise QuakeError(f"the shape {(*found,)!s:.60} of {what} has too many elements")
    return found


def dimensions(value: Any, what: str) -> list[int | str]:
    """The shape of a tensor, with names for some of its dimensions.

    Raises
    ------
    QuakeError
        For anything but a sequence of identifiers and of sizes as :func:`shape` takes them.
    """
    try:
        found = [] if isinstance(value, str) else list(value)
    except TypeError:
        found = []
    names = [n for n in found if isinstance(n, str)]
    if not names:
        return [*shape(value, what)]
    for name in names:
        if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
            raise QuakeError(
                f"a dimension of {what} has the name {name!r:.60}: give a word of letters, digits "
                "and _, as batch"
            )
    sizes = iter(shape([n for n in found if not isinstance(n, str)], what))
    return [n if isinstance(n, str) else next(sizes) for n in found]


def size_range(value: Any, what: str) -> tuple[int, int]:
    """The least and the largest size of a dimension.

    Raises
    ------
    QuakeError
        For anything but two positive whole numbers in ascending order.
    """
    try:
        least, most = (operator.index(n) for n in value)
    except (TypeError, ValueError):
        raise QuakeError(
            f"the range of {what} is its least and its largest size, as (1, 512), not {value!r:.60}"
        ) from None
    if not 1 <= least <= most <= _MOST_ELEMENTS:
        raise QuakeError(
            f"the range of {what} is {least} to {most}: give positive sizes, the least one first"
        )
    return least, most


def seconds(value: Any, what: str) -> float:
    """A time-out in seconds: positive, and at most a day.

    Raises
    ------
    QuakeError
        For anything else.
    """
    if not 0 < number(value, what) <= _DAY:
        raise QuakeError(f"{what} must be positive seconds, at most a day, not {value!r:.60}")
    return float(value)


def choice(value: Any, what: str, choices: Collection[str]) -> str:
    """One of the given words.

    Parameters
    ----------
    value
    what : str
        What the words are, for error messages.
    choices : collection of str

    Raises
    ------
    QuakeError
        For anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise QuakeError(f"unknown {what} {value!r:.60}; choose from: {', '.join(choices)}")
    return value
