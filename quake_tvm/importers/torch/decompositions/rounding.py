"""Rounding to a number of decimals."""

import torch

from .table import decomposes


@decomposes("round.decimals")
def _round(x: torch.Tensor, *, decimals: int) -> torch.Tensor:
    """To the power of ten and back, as torch computes it."""
    if decimals == 0 or not x.is_floating_point():
        return torch.round(x)
    power = 10.0 ** abs(decimals)
    return torch.round(x / power) * power if decimals < 0 else torch.round(x * power) / power
