"""Random choices for the steps of a program, and the values that the program has so far."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass
class Choices:
    """The state that makers of steps draw from.

    Attributes
    ----------
    rng : random.Random
    values : dict of name to tensor
        Inputs and results so far, the newest last.
    modules : list of str
        The constructors of the program's modules. Makers append to it.
    """

    rng: random.Random
    values: dict[str, torch.Tensor]
    modules: list[str] = field(default_factory=list)

    def value(self, fits: Callable[[torch.Tensor], bool] = lambda _: True) -> str | None:
        """A value that fits, usually a recent one."""
        names = [name for name, value in self.values.items() if fits(value)]
        if not names:
            return None
        return names[-1] if self.rng.random() < 0.5 else self.rng.choice(names)

    def floating(self, rank: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> str | None:
        return self.value(lambda v: v.is_floating_point() and v.dim() in rank)

    def shape(self, name: str) -> list[int]:
        return list(self.values[name].shape)

    def axis(self, name: str) -> int:
        rank = max(self.values[name].dim(), 1)
        return self.rng.randrange(-rank, rank)

    def axes(self, name: str) -> list[int]:
        rank = max(self.values[name].dim(), 1)
        axes = self.rng.sample(range(rank), self.rng.randint(1, rank))
        return [a - rank if self.rng.random() < 0.5 else a for a in axes]

    def module(self, constructor: str) -> str:
        self.modules.append(constructor)
        return f"self.m{len(self.modules) - 1}"

    def number(self) -> str:
        return self.rng.choice(["2", "-1", "3", "0.5", "1.5", "-2.5", "1", "0", "True", "0.1"])

    def chance(self, share: float = 0.5) -> bool:
        return self.rng.random() < share
