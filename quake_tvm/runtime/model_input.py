"""What a model takes. Knows no TVM."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """A model input: symbolic dimensions by name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
