"""Sums, means and maxima over bags of embeddings; histograms."""

import math
from typing import Any

import torch

from .table import decomposes

_MEAN, _MAX = 1, 2  # values of mode; 0 is the sum


@decomposes("_embedding_bag.default", "_embedding_bag_forward_only.default")
def _embedding_bag(
    weight: torch.Tensor,
    indices: torch.Tensor,
    offsets: torch.Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: torch.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[torch.Tensor, ...]:
    """The bags, then what only training reads: the bag of each index, sizes, places of maxima."""
    starts = offsets[:-1] if include_last_offset else offsets
    bags = starts.shape[0]
    places = torch.arange(indices.shape[0], device=indices.device)
    bag = (places.unsqueeze(1) >= starts.unsqueeze(0)).sum(1) - 1
    rows = torch.nn.functional.embedding(indices, weight)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    counted = indices != padding_idx if padding_idx >= 0 else torch.ones_like(indices) == 1
    sizes = torch.zeros(bags, dtype=torch.int64).index_add(0, bag, counted.to(torch.int64))
    if mode == _MAX:
        member = (bag.unsqueeze(0) == torch.arange(bags).unsqueeze(1)) & counted
        candidates = torch.where(member.unsqueeze(2), rows.unsqueeze(0), -math.inf)
        result = torch.where(sizes.unsqueeze(1) > 0, candidates.amax(1), 0.0)
    else:
        rows = torch.where(counted.unsqueeze(1), rows, 0)
        result = torch.zeros(bags, rows.shape[1], dtype=rows.dtype).index_add(0, bag, rows)
        if mode == _MEAN:
            result = result / torch.clamp(sizes, min=1).unsqueeze(1)
    return result, bag, sizes, sizes


@decomposes("histc.default")
def _histc(x: torch.Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> torch.Tensor:
    """The numbers of elements in bins of equal width; others are not counted."""
    flat = x.reshape(-1)
    if min == max:  # the whole range
        if not x.numel() or not x.is_floating_point():
            return NotImplemented
        low, high = flat.amin(), flat.amax()
        single = low == high
        low, high = torch.where(single, low - 1, low), torch.where(single, high + 1, high)
    else:
        low, high = (torch.full((), float(limit), dtype=x.dtype) for limit in (min, max))
    inside = (flat >= low) & (flat <= high)
    place = torch.floor((flat - low) * bins / (high - low))
    place = torch.where(inside, torch.clamp(place, 0, bins - 1), 0).to(torch.int64)
    return torch.zeros(bins, dtype=x.dtype).index_add(0, place, inside.to(x.dtype))
