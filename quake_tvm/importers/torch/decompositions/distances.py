"""Distances between all pairs of rows."""

import torch

from .table import decomposes


@decomposes("_cdist_forward.default")
def _cdist(x: torch.Tensor, y: torch.Tensor, p: float, compute_mode: int | None) -> torch.Tensor:
    difference = x.unsqueeze(-2) - y.unsqueeze(-3)
    return torch.linalg.vector_norm(difference, p, dim=-1)


@decomposes("_pdist_forward.default")
def _pdist(x: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    if not isinstance(x.shape[0], int):
        return NotImplemented
    first, second = torch.triu_indices(x.shape[0], x.shape[0], 1)
    return torch.linalg.vector_norm(x[first] - x[second], p, dim=-1)
