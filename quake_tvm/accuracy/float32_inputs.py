"""float32 inputs for sweeps: points where an operator's formula changes, and even bit patterns.

Knows numpy only.
"""

from collections.abc import Iterator

import numpy as np

FLT_MAX = float(np.finfo(np.float32).max)
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
CHUNK = 1 << 20
# Magnitudes per block of a sweep: few enough for the caches.
BLOCK = 1 << 17
EVERY = 1 << 32
# So many bit patterns take even an emulated machine only a second. With the special inputs they are
# the stratum whose results are recorded.
STRATUM = 1 << 20

# Finite inputs near which some operator's formula changes, flushes or overflows.
BOUNDARIES = np.array(
    [
        *(0.0, 1e-45, 1.17549421e-38, SMALLEST_NORMAL, 1e-30, 1e-6, 1e-3, 0.45, 0.5, 0.9, 1.0),
        *(3.999, 4.0, 4.5, 8.0, 9.0, 10.0, 13.25, 13.26, 14.0, 51.3, 86.6, 87.33, 87.34, 88.0),
        *(88.72283, 88.72284, 103.9, 104.0, 126.0, 127.0, 128.0, 149.0, 1e4, 1e10, 3e38, FLT_MAX),
    ],
    dtype=np.float32,
)
SPECIAL = np.array([np.nan, np.inf, -np.inf], dtype=np.float32)


def special_inputs() -> np.ndarray:
    """NaN, infinities and the boundaries with their neighbours, of both signs."""
    around = [BOUNDARIES, np.nextafter(BOUNDARIES, np.float32(0))]
    with np.errstate(over="ignore"):
        around.append(np.nextafter(BOUNDARIES, np.float32(np.inf)))
    positive = np.concatenate(around)
    payloads = np.array([0x7F800001, 0x7FFFFFFF, 0xFFC12345], dtype=np.uint32).view(np.float32)
    return np.concatenate([SPECIAL, payloads, positive, -positive])


def bit_patterns(count: int) -> Iterator[np.ndarray]:
    """``count`` (a power of two) float32 values evenly spread over all bit patterns, in chunks.

    They come in the order of the bit patterns; ``count = EVERY`` gives all 2^32.
    """
    step = EVERY // count
    for first in range(0, EVERY, step * CHUNK):
        last = min(first + step * CHUNK, EVERY)
        # The offset avoids a sweep over round numbers only.
        yield (
            (np.arange(first, last, step, dtype=np.uint64) + step // 3)
            .astype(np.uint32)
            .view(np.float32)
        )


def stratum(count: int) -> np.ndarray:
    """Magnitudes of ``count`` evenly spread bit patterns and of the special inputs, in order."""
    step = EVERY // count
    # The offset avoids a sweep over round numbers only.
    even = np.arange(step // 3, EVERY // 2, step, dtype=np.uint32)
    special = np.unique(np.abs(special_inputs()).view(np.uint32))
    special = special[special % step != step // 3]  # the others are even's own
    return np.insert(even, np.searchsorted(even, special), special)


def blocks(magnitudes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Magnitudes in blocks, each block with the magnitude before its first."""
    for first in range(0, len(magnitudes), BLOCK):
        yield int(magnitudes[max(first - 1, 0)]), magnitudes[first : first + BLOCK]


def every_magnitude(first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
    """All magnitudes of a range in blocks, each block with the magnitude before its first."""
    for start in range(first, last, BLOCK):
        yield max(start - 1, 0), np.arange(start, start + BLOCK, dtype=np.uint32)
