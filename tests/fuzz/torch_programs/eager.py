"""Run a program with torch, step by step, with noise of the size of rounding on each result."""

import warnings
from collections.abc import Iterable

import torch
from torch import nn

from .program import Program, named, scope


def run(
    program: Program,
    module: nn.Module,
    tensors: Iterable[torch.Tensor],
    noise: float = 0.0,
    seed: int = 0,
) -> list[torch.Tensor]:
    """The results, where each step's result has a random relative error of up to ``noise``."""
    generator = torch.Generator().manual_seed(seed)
    space = scope(self=module, **named([x.clone() for x in tensors]))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k, text in enumerate(program.steps):
            value = eval(text, space)
            if noise and value.is_floating_point() and value.numel():
                value = _shaken(value, noise, generator)
            space[f"v{k}"] = value
    return [space[name] for name in program.results]


def _shaken(value: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    finite = value[torch.isfinite(value)]
    scale = finite.abs().max() if finite.numel() else 0.0
    off = torch.rand(value.shape, generator=generator, dtype=torch.float32) * 2 - 1
    share = max(noise, 4e-3) if value.dtype == torch.float16 else noise
    wide = value.double()
    return (wide + off * share * (wide.abs() + 0.05 * scale)).to(value.dtype)
