"""Sampling of volumes at the points of a grid."""

import itertools

import torch

from .table import decomposes

_BILINEAR, _NEAREST = 0, 1
_ZEROS, _BORDER = 0, 1  # of padding_mode; 2 reflects


def _places(x: torch.Tensor, size: int, padding: int, aligned: bool) -> torch.Tensor:
    """Coordinates in [-1, 1] as places along a dimension."""
    at = (x + 1) / 2 * (size - 1) if aligned else ((x + 1) * size - 1) / 2
    if padding == _ZEROS:
        return at
    if padding != _BORDER:
        low, span = (0.0, size - 1) if aligned else (-0.5, size)
        if span == 0:
            return torch.zeros_like(at)
        offset = (at - low).abs()
        turns, rest = torch.floor(offset / span), torch.fmod(offset, span)
        at = torch.where(torch.fmod(turns, 2) == 0, rest + low, span - rest + low)
    return torch.clamp(at, 0, size - 1)


@decomposes("grid_sampler_3d.default")
def _grid_sampler_3d(
    volume: torch.Tensor, grid: torch.Tensor, mode: int, padding: int, aligned: bool
) -> torch.Tensor:
    """The eight neighbours of each point, weighted by distance; or its nearest neighbour."""
    sizes = volume.shape[2:]
    if mode not in (_BILINEAR, _NEAREST) or not all(isinstance(n, int) for n in sizes):
        return NotImplemented
    points = [_places(grid[..., 2 - k], sizes[k], padding, aligned) for k in range(3)]
    batch = torch.arange(volume.shape[0]).reshape(-1, 1, 1, 1)

    def taken(at: list[torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
        inside = torch.ones_like(at[0], dtype=torch.bool)
        index = []
        for place, size in zip(at, sizes, strict=True):
            there = (place >= 0) & (place < size)
            inside = inside & there
            index.append(torch.where(there, place, 0).to(torch.int64))
        values = volume.movedim(1, -1)[batch, index[0], index[1], index[2]]
        return torch.where(inside.unsqueeze(-1), values * weight.unsqueeze(-1), 0)

    if mode == _NEAREST:
        return taken([torch.round(p) for p in points], torch.ones(())).movedim(-1, 1)
    corners = [torch.floor(p) for p in points]
    total = torch.zeros(())
    for offsets in itertools.product((0, 1), repeat=3):
        weight = torch.ones(())
        for point, corner, offset in zip(points, corners, offsets, strict=True):
            share = point - corner
            weight = weight * (share if offset else 1 - share)
        at = [corner + offset for corner, offset in zip(corners, offsets, strict=True)]
        total = total + taken(at, weight)
    return total.movedim(-1, 1)
