"""Running extremes and running sums of exponentials along a dimension.

Each step combines every element with the one 1, 2, 4, ... places before it, so n elements take
log2(n) steps.
"""

from collections.abc import Callable
from typing import Any

import torch

from .table import decomposes

Parts = tuple[torch.Tensor, ...]


def _scanned(parts: Parts, dim: int, combine: Callable[[Parts, Parts], Parts]) -> Parts:
    """The running combination of tensors of equal shape."""
    size = parts[0].shape[dim]
    step = 1
    while step < size:
        before = tuple(p.narrow(dim, 0, size - step) for p in parts)
        here = tuple(p.narrow(dim, step, size - step) for p in parts)
        first = (p.narrow(dim, 0, step) for p in parts)
        joined = combine(before, here)
        parts = tuple(torch.cat(pair, dim) for pair in zip(first, joined, strict=True))
        step *= 2
    return parts


def _known(x: torch.Tensor, dim: int) -> bool:
    return isinstance(x.shape[dim], int)


def _running(x: torch.Tensor, dim: int, beats: Callable) -> Any:
    """The running extreme, and the last index of it. NaN is an extreme."""
    if not x.dim():
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    if not _known(x, dim):
        return NotImplemented
    shape = [1] * x.dim()
    shape[dim] = x.shape[dim]
    places = torch.arange(x.shape[dim], device=x.device).reshape(shape).expand(x.shape)

    def combine(before: Parts, here: Parts) -> Parts:
        last = beats(here[0], before[0]) | (here[0] != here[0])
        last = last & ((here[0] != here[0]) | (before[0] == before[0]))
        return tuple(torch.where(last, b, a) for a, b in zip(before, here, strict=True))

    return _scanned((x, places), dim, combine)


@decomposes("cummax.default")
def _cummax(x: torch.Tensor, dim: int) -> Any:
    return _running(x, dim, torch.ge)


@decomposes("cummin.default")
def _cummin(x: torch.Tensor, dim: int) -> Any:
    return _running(x, dim, torch.le)


@decomposes("logcumsumexp.default")
def _logcumsumexp(x: torch.Tensor, dim: int) -> Any:
    if not x.dim():
        return x.clone()
    if not _known(x, dim) or not x.is_floating_point():
        return NotImplemented
    return _scanned((x,), dim, lambda a, b: (torch.logaddexp(a[0], b[0]),))[0]
