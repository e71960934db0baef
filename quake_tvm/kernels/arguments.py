"""Arrays to call a kernel with, from its parameters' shapes and dtypes alone. Knows numpy only."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

# Shape and dtype.
Description = tuple[Sequence[int], str]


def example(shape: Sequence[int], dtype: str, generator: np.random.Generator) -> np.ndarray:
    """Normally distributed floats; zeros for other dtypes, whose elements may be indices."""
    if np.issubdtype(np.dtype(dtype), np.floating):
        return generator.standard_normal(shape, np.float32).astype(dtype)
    return np.zeros(shape, dtype)


def examples(descriptions: Iterable[Description]) -> list[np.ndarray]:
    """One array per description, the same arrays every time."""
    generator = np.random.default_rng(0)
    return [example(shape, dtype, generator) for shape, dtype in descriptions]


def digest(arrays: Iterable[np.ndarray]) -> str:
    """A hash of the arrays' bits, to compare results bit by bit."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(array.tobytes())
    return found.hexdigest()[:16]
