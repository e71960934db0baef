"""Arrays to call a kernel with, from its parameters' shapes and dtypes alone. Knows numpy only."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

# Shape and dtype.
Description = tuple[Sequence[int], str]


def example(shape: Sequence[int], dtype: str, generator: np.random.Generator) -> np.ndarray:
    """Normal floats, and zeros where an index may be meant."""
    if np.issubdtype(np.dtype(dtype), np.floating):
        return generator.standard_normal(shape, np.float32).astype(dtype)
    return np.zeros(shape, dtype)


def examples(descriptions: Iterable[Description]) -> list[np.ndarray]:
    """An array for each description, the same ones every time."""
    generator = np.random.default_rng(0)
    return [example(shape, dtype, generator) for shape, dtype in descriptions]


def digest(arrays: Iterable[np.ndarray]) -> str:
    """What tells arrays apart that differ in a bit."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:16]
