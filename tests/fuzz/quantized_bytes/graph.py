"""A random graph of bytes, scales and zero points. Knows no operator."""

from collections.abc import Sequence

import numpy as np

from .. import graph


def random_bytes(
    random: np.random.Generator, dtype: type, shape: Sequence[int], step: int = 1
) -> np.ndarray:
    """Multiples of ``step`` from the whole range of a type; one tensor in four has many ends."""
    low, high = (n // step for n in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    values = random.integers(low, high + 1, shape)
    if random.random() < 0.25:
        values = np.where(random.random(shape) < 0.5, random.choice([low, high]), values)
    return (values * step).astype(dtype)


class Graph(graph.Graph):
    """One quantized operator.

    Attributes
    ----------
    halfway : bool
        All scales are powers of two, so that many results lie exactly between two bytes.
    step : int
        Bytes and zero points are its multiples.
    """

    def __init__(self, random: np.random.Generator, opset: int, prefix: str) -> None:
        super().__init__(random, opset, prefix)
        self.halfway = self.chance(0.5)
        self.step = 1

    def sums_products(self) -> None:
        """The operator sums products: with larger steps they lie halfway more often."""
        self.step = 16 if self.halfway else 1

    def byte_input(self, dtype: type, shape: Sequence[int]) -> str:
        """A new input of bytes."""
        return self.input(dtype, shape, random_bytes(self.random, dtype, shape, self.step))

    def byte_weights(self, dtype: type, shape: Sequence[int], varying: float = 0.25) -> str:
        """Bytes: an input with the probability ``varying``, else a constant."""
        if self.chance(varying):
            return self.byte_input(dtype, shape)
        return self.constant(random_bytes(self.random, dtype, shape, self.step))

    def float_input(self, shape: Sequence[int]) -> str:
        """A new input of floats, sometimes with NaN, infinities, huge and tiny numbers."""
        values = self.random.standard_normal(shape) * self.pick([1, 1, 100, 0.01])
        if self.halfway:
            values = np.round(values * 64) / 64
        if self.chance(0.3):
            places = self.random.integers(0, values.size, 3)
            values.reshape(-1)[places] = self.random.choice([np.inf, -np.inf, np.nan, 3e38, 1e-40])
        return self.input(np.float32, shape, values.astype(np.float32))

    def scale(self, near: float, shape: tuple[int, ...] = ()) -> str:
        """Scales of about this size."""
        if self.halfway:
            values = 2.0 ** np.round(np.log2(near) + self.random.integers(-1, 2, shape))
        else:
            values = near * self.random.uniform(0.5, 2, shape)
        return self.constant(values, np.float32)

    def zero(self, dtype: type, shape: tuple[int, ...] = ()) -> str:
        """Zero points: at the ends of the range, in the middle, or any."""
        if shape or self.chance(0.3):
            return self.constant(random_bytes(self.random, dtype, shape, self.step))
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        picked = self.pick([low, (low + high + 1) // 2, high])
        return self.constant(picked // self.step * self.step, dtype)
