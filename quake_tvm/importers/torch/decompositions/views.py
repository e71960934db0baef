"""Views, which need no strides here, and writes into them.

A decomposition may give a value other strides than the operator that it replaces, and a view of
these fails although the program is right.
"""

from typing import Any

import torch

from .table import decomposes


@decomposes("view.default")
def _view(x: torch.Tensor, size: Any) -> torch.Tensor:
    contiguous = x.clone(memory_format=torch.contiguous_format)
    return torch.ops.aten._unsafe_view.default(contiguous, size)


@decomposes("view_copy.default")
def _view_copy(x: torch.Tensor, size: Any) -> torch.Tensor:
    return torch.reshape(x, size)


@decomposes("permute_copy.default")
def _permute_copy(x: torch.Tensor, dims: Any) -> torch.Tensor:
    return torch.permute(x, dims).clone()


@decomposes("unbind_copy.int")
def _unbind_copy(x: torch.Tensor, dim: int = 0) -> list[torch.Tensor]:
    return [part.clone() for part in torch.unbind(x, dim)]


@decomposes("take.default")
def _take(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.index.Tensor(x.reshape(-1), [index])


@decomposes("narrow_copy.default")
def _narrow_copy(x: torch.Tensor, dim: int, start: Any, length: Any) -> torch.Tensor:
    return torch.narrow(x, dim, start, length).clone()


@decomposes("as_strided_scatter.default")
def _as_strided_scatter(
    x: torch.Tensor, source: torch.Tensor, size: Any, stride: Any, offset: Any = None
) -> torch.Tensor:
    known = all(isinstance(n, int) for n in (*x.shape, *size, *stride, offset or 0))
    if not known or not x.is_contiguous() or x.storage_offset():
        return NotImplemented
    place = torch.full((), offset or 0, dtype=torch.int64)
    for n, step in zip(size, stride, strict=True):
        place = place.unsqueeze(-1) + torch.arange(n) * step
    written = x.reshape(-1).index_copy(0, place.reshape(-1), source.reshape(-1))
    return written.reshape(x.shape)


@decomposes("diagonal_scatter.default")
def _diagonal_scatter(
    x: torch.Tensor, source: torch.Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> torch.Tensor:
    count = source.shape[-1]
    if not isinstance(count, int):
        return NotImplemented
    places = torch.arange(count)
    moved = x.movedim((dim1, dim2), (-2, -1))
    at = [None] * (x.dim() - 2) + [places + max(-offset, 0), places + max(offset, 0)]
    written = torch.ops.aten.index_put.default(moved, at, source)
    return written.movedim((-2, -1), (dim1, dim2))
