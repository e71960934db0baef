"""Elements at a place in the order of rows, and the places of values in sorted rows."""

from typing import Any

import torch

from .table import decomposes

Pair = tuple[torch.Tensor, torch.Tensor]


def _at(x: torch.Tensor, dim: int, place: torch.Tensor, keepdim: bool) -> Pair:
    """Elements of sorted rows and their indices; NaN is last in the order."""
    values, order = torch.sort(x, dim=dim, stable=True)
    found = tuple(torch.gather(part, dim, place) for part in (values, order))
    if not keepdim:
        found = tuple(part.squeeze(dim) for part in found)
    return found[0], found[1]


def _numbers(x: torch.Tensor, dim: int) -> torch.Tensor:
    """How many elements of each row are no NaN."""
    there = x == x
    return there.sum(dim, keepdim=True)


def _of_scalar(x: torch.Tensor) -> Pair:
    return x.clone(), torch.zeros_like(x, dtype=torch.int64)


@decomposes("kthvalue.default")
def _kthvalue(x: torch.Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Pair:
    if not x.dim():
        return _of_scalar(x)
    numbers = _numbers(x, dim)
    return _at(x, dim, torch.full_like(numbers, k - 1), keepdim)


@decomposes("median.dim")
def _median(x: torch.Tensor, dim: int, keepdim: bool = False) -> Pair:
    """The lower median; NaN if the row has one."""
    if not x.dim():
        return _of_scalar(x)
    numbers, size = _numbers(x, dim), x.shape[dim]
    middle = torch.full_like(numbers, (size - 1) // 2)
    return _at(x, dim, torch.where(numbers < size, numbers, middle), keepdim)


@decomposes("nanmedian.dim")
def _nanmedian(x: torch.Tensor, dim: int, keepdim: bool = False) -> Pair:
    if not x.dim():
        return _of_scalar(x)
    middle = torch.clamp(_numbers(x, dim) - 1, min=0) // 2
    return _at(x, dim, middle, keepdim)


@decomposes("median.default")
def _median_of_all(x: torch.Tensor) -> torch.Tensor:
    return _median(x.reshape(-1), 0)[0] if x.numel() else NotImplemented


@decomposes("nanmedian.default")
def _nanmedian_of_all(x: torch.Tensor) -> torch.Tensor:
    return _nanmedian(x.reshape(-1), 0)[0] if x.numel() else NotImplemented


@decomposes("mode.default")
def _mode(x: torch.Tensor, dim: int = -1, keepdim: bool = False) -> Pair:
    """The most frequent value, the smallest of several, and the last of its indices."""
    if not x.dim():
        return _of_scalar(x)
    rows = x.movedim(dim, -1)
    if rows.dtype == torch.bool:
        rows = rows.to(torch.uint8)
    counts = (rows.unsqueeze(-1) == rows.unsqueeze(-2)).sum(-1)
    often = counts == counts.amax(-1, keepdim=True)
    largest = rows.amax(-1, keepdim=True)
    value = torch.where(often, rows, largest).amin(-1, keepdim=True)
    places = torch.arange(rows.shape[-1], device=x.device)
    index = torch.where(rows == value, places, 0).amax(-1, keepdim=True)
    found = value.to(x.dtype).movedim(-1, dim), index.movedim(-1, dim)
    return found if keepdim else (found[0].squeeze(dim), found[1].squeeze(dim))


@decomposes("searchsorted.Tensor", "searchsorted.Scalar")
def _searchsorted(
    rows: torch.Tensor,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: torch.Tensor | None = None,
) -> torch.Tensor:
    """How many elements of a sorted row are below each value; with ``right``, not above it."""
    if sorter is not None:
        rows = torch.gather(rows, -1, sorter)
    if not isinstance(values, torch.Tensor):
        values = torch.full((), values)
    if rows.dim() > 1:
        rows, values = rows.unsqueeze(-2), values.unsqueeze(-1)
    else:
        values = values.unsqueeze(-1)
    beyond = rows > values if right or side == "right" else rows >= values
    return (~beyond).sum(-1, dtype=torch.int32 if out_int32 else torch.int64)


@decomposes("bucketize.Tensor")
def _bucketize(
    values: torch.Tensor,
    boundaries: torch.Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
) -> torch.Tensor:
    return _searchsorted(boundaries, values, out_int32=out_int32, right=right)


@decomposes("repeat_interleave.Tensor")
def _repeat_interleave(repeats: torch.Tensor, *, output_size: Any = None) -> torch.Tensor:
    """Each index as often as its number says."""
    if output_size is None:
        return NotImplemented
    ends = torch.cumsum(repeats, 0)
    return torch.searchsorted(ends, torch.arange(output_size), right=True)
