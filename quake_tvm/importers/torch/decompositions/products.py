"""Sums with products of matrices and vectors."""

from collections.abc import Sequence
from typing import Any

import torch

from .table import decomposes


def _sum(x: torch.Tensor, product: torch.Tensor, beta: Any, alpha: Any) -> torch.Tensor:
    """beta x + alpha product; with beta 0, what x holds does not matter."""
    product = product if alpha == 1 else _times(product, alpha)
    if beta == 0:
        return product
    return (x if beta == 1 else _times(x, beta)) + product


def _times(x: torch.Tensor, factor: Any) -> torch.Tensor:
    """In the tensor's dtype. A factor of whole numbers is cut to a whole number, as torch does."""
    return x * (factor if x.is_floating_point() else int(factor))


@decomposes("addmv.default")
def _addmv(
    x: torch.Tensor, matrix: torch.Tensor, vector: torch.Tensor, *, beta: Any = 1, alpha: Any = 1
) -> torch.Tensor:
    return _sum(x, torch.mm(matrix, vector.unsqueeze(1)).squeeze(1), beta, alpha)


@decomposes("addbmm.default")
def _addbmm(
    x: torch.Tensor, batch1: torch.Tensor, batch2: torch.Tensor, *, beta: Any = 1, alpha: Any = 1
) -> torch.Tensor:
    return _sum(x, torch.bmm(batch1, batch2).sum(0), beta, alpha)


@decomposes("_trilinear.default")
def _trilinear(
    x: torch.Tensor,
    y: torch.Tensor,
    z: torch.Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> torch.Tensor:
    """The sum over some dimensions of the product of three tensors, each with added dimensions."""
    spread = []
    for factor, added in ((x, expand1), (y, expand2), (z, expand3)):
        for dim in added:
            factor = factor.unsqueeze(dim)
        spread.append(factor)
    product = spread[0] * spread[1] * spread[2]
    return product.sum(list(sumdim)) if sumdim else product
