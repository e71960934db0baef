"""Distances between all pairs of rows."""

import torch

from .table import decomposes


@decomposes("_cdist_forward.default")
def _cdist(x: torch.Tensor, y: torch.Tensor, p: float, compute_mode: int | None) -> torch.Tensor:
    difference = x.unsqueeze(-2) - y.unsqueeze(-3)
    return torch.linalg.vector_norm(difference, p, dim=-1)


@decomposes("_pdist_forward.default")
def _pdist(x: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    size = x.shape[0]
    if not isinstance(size, int):
        return NotImplemented
    row, pair = torch.arange(size), torch.arange(size * (size - 1) // 2)
    starts = row * (2 * size - row - 1) // 2  # the number of each row's first pair
    first = (pair.unsqueeze(1) >= starts[1:].unsqueeze(0)).sum(1)
    second = pair - starts[first] + first + 1
    return torch.linalg.vector_norm(x[first] - x[second], p, dim=-1)
