"""The table of decompositions that torch itself lacks, or that suit compilation better.

A decomposition is a function of the operator's arguments that computes it by other operators of
torch. It returns NotImplemented for what it does not cover, and the operator stays. Where a size
decides how it is written, the size must be an int: a condition on a dynamic size would fix it.
"""

from collections.abc import Callable
from typing import Any

import torch

Decomposition = Callable[..., Any]
DECOMPOSITIONS: dict[torch._ops.OpOverload, Decomposition] = {}


def overload(name: str) -> torch._ops.OpOverload:
    """The ATen operator of a name such as "add.Tensor"."""
    packet, kind = name.split(".")
    return getattr(getattr(torch.ops.aten, packet), kind)


def decomposes(*operators: str) -> Callable[[Decomposition], Decomposition]:
    """Register a decomposition of ATen operators."""

    def enter(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS.update({overload(name): function for name in operators})
        return function

    return enter
