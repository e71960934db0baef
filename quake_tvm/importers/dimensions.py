"""What users say of dynamic dimensions: sizes, names and ranges. Knows no format and no TVM."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import QuakeError
from ..support import given

Shapes: TypeAlias = Mapping[str, Sequence[int | str]]
Ranges: TypeAlias = Mapping[str, tuple[int, int]]


def check_names(ranges: Ranges, names: Sequence[str]) -> None:
    """Raise QuakeError unless all ranges are of these dimensions."""
    for name in ranges:
        if name not in names:
            known = ", ".join(dict.fromkeys(names)) or "none, since all sizes are static"
            raise QuakeError(f"a range of unknown dimension {name!r}; the dimensions: {known}")


def checked_shapes(shapes: Any) -> dict[str, list[int | str]]:
    """The shapes as lists of sizes and names.

    Raises
    ------
    QuakeError
        For anything but a mapping of input names to valid shapes.
    """
    example = "give a mapping of input name to shape, as shapes={'x': (1, 128)}"
    if shapes is None:
        return {}
    if not isinstance(shapes, Mapping):
        raise QuakeError(f"shapes is {shapes!s:.60}: {example}")
    return {name: given.dimensions(shape, repr(name)) for name, shape in shapes.items()}


def checked_ranges(ranges: Any) -> dict[str, tuple[int, int]]:
    """The ranges as pairs of ints.

    Raises
    ------
    QuakeError
        For anything but a mapping of names to pairs of positive numbers in ascending order.
    """
    if ranges is None:
        return {}
    if not isinstance(ranges, Mapping):
        raise QuakeError(
            f"ranges is {ranges!s:.60}: give a mapping of dimension name to its least and largest "
            "size, as ranges={'length': (1, 512)}"
        )
    return {name: given.size_range(value, repr(name)) for name, value in ranges.items()}
