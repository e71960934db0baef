"""A look-up that replaces a feed-forward layer: its numbers, and what it computes.

Source: LookupFFN (arXiv 2403.07221), section 3. Knows numpy only.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

# What tables are stored in.
FORMATS = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
INT8 = "int8"
STORED = (*FORMATS, INT8)


@dataclass
class LookupLayer:
    """y = bias + sum over tables t of score_t * tables[t, code_t], from z = x projection + offset.

    Bit j of table t is column j * H + t of z. The first bit is the most significant one of a code,
    and is 1 for a positive z.

    Attributes
    ----------
    projection, offset : ndarray
        float32, of shape (width of x, bits * H) and (bits * H,).
    tables : ndarray
        float32, of shape (H * 2**bits, width of y).
    bias : ndarray
        float32, of shape (width of y,).
    bits : int
    """

    projection: np.ndarray
    offset: np.ndarray
    tables: np.ndarray
    bias: np.ndarray
    bits: int

    @property
    def count(self) -> int:
        """The number of tables."""
        return len(self.offset) // self.bits

    def hashed(self, x: np.ndarray) -> "Hashed":
        """The codes and scores of rows (n, width of x)."""
        return hashed(x @ self.projection + self.offset, self.bits)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The result for rows (n, width of x), computed in float64 from float32's codes."""
        found = self.hashed(x)
        result = np.empty((len(x), len(self.bias)))
        for n, (codes, scores) in enumerate(zip(found.codes, found.scores, strict=True)):
            result[n] = scores.astype(np.float64) @ self.tables[codes] + self.bias
        return result

    def stored(self, form: str) -> list[np.ndarray]:
        """The tables in a format, and for int8 the scale of each row.

        Parameters
        ----------
        form : {"float32", "bfloat16", "int8"}
        """
        if form != INT8:
            return [self.tables.astype(FORMATS[form])]
        largest = np.abs(self.tables).max(axis=1)
        scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        return [np.rint(self.tables / scales[:, None]).astype(np.int8), scales]

    @property
    def bytes(self) -> dict[str, int]:
        """The size of the layer's weights for each format of the tables."""
        other = self.projection.nbytes + self.offset.nbytes + self.bias.nbytes
        sizes = {name: self.tables.size * kind.itemsize for name, kind in FORMATS.items()}
        sizes[INT8] = self.tables.size + 4 * len(self.tables)
        return {name: size + other for name, size in sizes.items()}


@dataclass(frozen=True)
class Hashed:
    """What a look-up knows of rows before it reads tables.

    Attributes
    ----------
    codes : ndarray
        int32 of shape (n, H): row numbers of all tables together.
    scores : ndarray
        float32 of shape (n, H).
    slopes : ndarray
        float32 of shape (n, bits * H): the derivatives of the scores by z.
    """

    codes: np.ndarray
    scores: np.ndarray
    slopes: np.ndarray


def hashed(z: np.ndarray, bits: int) -> Hashed:
    """Codes, scores and the scores' derivatives, of z (n, bits * H), float32."""
    rows = z.reshape(len(z), bits, z.shape[1] // bits)
    count = rows.shape[2]
    powers = (1 << np.arange(bits - 1, -1, -1)).astype(np.int32)
    codes = ((rows > 0) * powers[:, None]).sum(axis=1, dtype=np.int32)
    codes += np.arange(count, dtype=np.int32) << bits
    size = np.abs(rows)
    e = np.exp(-2 * size)
    share = 1 / np.prod(1 + e, axis=1)
    total = size.sum(axis=1)
    scores = total * share
    # d score / d |z_j| = share + score * 2 e_j / (1 + e_j)
    slopes = (share[:, None] + scores[:, None] * (2 * e / (1 + e))) * np.where(rows > 0, 1, -1)
    return Hashed(codes, scores.astype(np.float32), slopes.reshape(z.shape).astype(np.float32))
