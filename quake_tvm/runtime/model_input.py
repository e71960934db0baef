"""The inputs of a model. Knows no TVM."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """A model input. Symbolic dimensions are given by name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
