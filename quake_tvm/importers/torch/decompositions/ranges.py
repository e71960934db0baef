"""Evenly spaced numbers: known ones stay one operator, which becomes a constant.

torch's own decompositions round at other places than the operators.
"""

from typing import Any

import torch

from .table import decomposes


def _known(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


@decomposes("linspace.default")
def _linspace(start: Any, end: Any, steps: int, **options: Any) -> torch.Tensor:
    if _known(start, end):
        return NotImplemented
    return torch._refs.linspace(start, end, steps, **options)


@decomposes("logspace.default")
def _logspace(start: Any, end: Any, steps: int, base: float = 10, **options: Any) -> torch.Tensor:
    if _known(start, end):
        return NotImplemented
    return torch._refs.logspace(start, end, steps, base, **options)
