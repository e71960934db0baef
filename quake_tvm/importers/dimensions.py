"""What users say of dynamic dimensions: sizes, names and ranges. Knows no format and no TVM."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..errors import QuakeError

Shapes: TypeAlias = Mapping[str, Sequence[int | str]]
Ranges: TypeAlias = Mapping[str, tuple[int, int]]


def check_names(ranges: Ranges, names: Sequence[str]) -> None:
    """Raise QuakeError unless all ranges are of these dimensions."""
    for name in ranges:
        if name not in names:
            known = ", ".join(dict.fromkeys(names)) or "none, since all sizes are static"
            raise QuakeError(f"a range of unknown dimension {name!r}; the dimensions: {known}")
