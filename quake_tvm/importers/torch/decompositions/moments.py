"""Operators that return a mean beside a variance or a deviation."""

from typing import Any

import torch

from .table import decomposes

Pair = tuple[torch.Tensor, torch.Tensor]


@decomposes("var_mean.correction")
def _var_mean(
    x: torch.Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Pair:
    variance = torch.var(
        x, dim, correction=1 if correction is None else correction, keepdim=keepdim
    )
    return variance, torch.mean(x, dim, keepdim=keepdim)


@decomposes("std_mean.correction")
def _std_mean(
    x: torch.Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Pair:
    variance, mean = _var_mean(x, dim, correction=correction, keepdim=keepdim)
    return variance.sqrt(), mean
