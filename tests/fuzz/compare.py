"""Compare one output with the outputs that a judge saw."""

from collections.abc import Sequence

import numpy as np

from .judge import MARGIN

# A smaller float32 may be flushed or rounded to zero, and a gate may multiply it by 100.
TINY = 2e-36
# A difference that is not examined further, in spacings of the type at the value.
SPACINGS = 16


def difference(got: np.ndarray, seen: Sequence[np.ndarray]) -> str:
    """What is wrong with an output; empty if nothing.

    Parameters
    ----------
    got : numpy.ndarray
    seen : sequence of numpy.ndarray
        The judge's outputs: first without noise, then with it.
    """
    want = np.asarray(seen[0])
    if got.dtype != want.dtype:
        return f"type {got.dtype}, not {want.dtype}"
    if any(np.shape(s) != want.shape for s in seen):
        return ""  # the extents depend on rounding
    if got.shape != want.shape:
        return f"shape {got.shape}, not {want.shape}"
    if not got.size:
        return ""
    if got.dtype.kind != "f":
        bad = (got != want) & np.all([s == want for s in seen], axis=0)
        return _told(bad, got, want)
    stack = np.stack(seen).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(stack)
        same = np.all(np.isnan(stack), 0) | np.all(stack == stack[0], 0)
        settled = np.all(finite, 0) | (~np.any(finite, 0) & same)
        spread = np.max(np.abs(stack - stack[0]), 0)
        allowed = MARGIN * spread + SPACINGS * np.finfo(got.dtype).eps * np.abs(stack[0]) + TINY
        value = got.astype(np.float64)
        right = np.where(
            np.all(finite, 0),
            np.abs(value - stack[0]) <= allowed,
            (value == stack[0]) | (np.isnan(value) & np.isnan(stack[0])),
        )
    return _told(settled & ~right, got, want)


def _told(bad: np.ndarray, got: np.ndarray, want: np.ndarray) -> str:
    if not bad.any():
        return ""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got.astype(np.float64) - want.astype(np.float64))
    off = np.where(np.isnan(off), np.inf, off)
    place = np.unravel_index(np.argmax(np.where(bad, off, -1)), bad.shape)
    where = tuple(int(i) for i in place)
    return f"{bad.sum()} of {bad.size} elements, at {where} {got[place]!s}, not {want[place]!s}"
