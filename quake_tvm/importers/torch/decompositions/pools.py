"""Maxima over windows that divide an image into a given number of parts."""

from collections.abc import Sequence
from typing import Any

import torch

from .table import decomposes


def _window(size: int, parts: int) -> torch.Tensor:
    """The places of each part, (parts, longest). A shorter part repeats its last place."""
    starts = torch.arange(parts) * size // parts
    ends = -(-(torch.arange(parts) + 1) * size // parts)
    longest = max(-(-(k + 1) * size // parts) - k * size // parts for k in range(parts))
    places = starts.unsqueeze(1) + torch.arange(longest)
    return torch.minimum(places, ends.unsqueeze(1) - 1)


@decomposes("adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def _adaptive_max_pool(x: torch.Tensor, output_size: Sequence[int]) -> Any:
    """The maxima, and their places in the flattened image."""
    rank = len(output_size)
    sizes = x.shape[-rank:]
    if not all(isinstance(n, int) and n for n in (*sizes, *output_size)):
        return NotImplemented
    flat = torch.zeros((1, 1), dtype=torch.int64)  # (windows, places of a window)
    for size, parts in zip(sizes, output_size, strict=True):
        along = _window(size, parts)
        flat = (flat * size)[:, None, :, None] + along[None, :, None, :]
        flat = flat.flatten(2).flatten(0, 1)
    values, number = x.flatten(-rank)[..., flat].max(-1)
    places = torch.gather(flat.expand(*number.shape, -1), -1, number.unsqueeze(-1)).squeeze(-1)
    shape = (*x.shape[:-rank], *output_size)
    return values.reshape(shape), places.reshape(shape)
