"""A random program that torch can run, made from a seed."""

import random
import warnings
from collections.abc import Mapping

import numpy as np
import torch

from .choices import Choices
from .makers import MAKERS
from .names import trimmed
from .program import Input, Program, named, scope

_DTYPES = ("float32",) * 8 + ("int64", "int32", "bool", "float16")


def generate(seed: int) -> Program:
    """The program of a seed."""
    rng = random.Random(seed)
    while True:
        inputs = tuple(_input(rng) for _ in range(rng.randint(1, 3)))
        values = named([given.tensor() for given in inputs])
        choices = Choices(rng, values)
        steps: list[str] = []
        for _ in range(rng.randint(3, 12)):
            before = len(choices.modules)
            (maker,) = rng.choices(list(MAKERS), list(MAKERS.values()))
            text = maker(choices)
            value = None if text is None else _tried(text, choices.modules, seed, values)
            if value is None:
                del choices.modules[before:]
                continue
            values[f"v{len(steps)}"] = value
            steps.append(text)
        if steps:
            break
    last = f"v{len(steps) - 1}"
    results = [last, *rng.sample([f"v{k}" for k in range(len(steps) - 1)], min(1, len(steps) - 1))]
    dynamic = None
    if rng.random() < 0.1:
        wide = [(k, a) for k, x in enumerate(inputs) for a, n in enumerate(x.shape) if n > 2]
        dynamic = rng.choice(wide) if wide else None
    program = Program(seed, inputs, tuple(choices.modules), tuple(steps), tuple(results), dynamic)
    return trimmed(program)


def _input(rng: random.Random) -> Input:
    rank = rng.choice([0, 1, 2, 2, 3, 3, 3, 4, 4])
    shape = tuple(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]) for _ in range(rank))
    while np.prod(shape) > 3000:
        shape = tuple(max(n // 2, 1) for n in shape)
    if shape and rng.random() < 0.03:
        shape = (*shape[:-1], 0)
    return Input(rng.choice(_DTYPES), shape, rng.randrange(1 << 30), rng.random() < 0.12)


def _tried(
    text: str, modules: list[str], seed: int, values: Mapping[str, torch.Tensor]
) -> torch.Tensor | None:
    """A step's result. None if torch refuses the step, or if it is not a tensor of fair size."""
    nothing = Program(seed, (), tuple(modules), ("0",), ("v0",))
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = eval(text, scope(self=nothing.module(), **values))
    except Exception:
        return None
    fair = isinstance(value, torch.Tensor) and value.numel() <= 4096 and value.dim() <= 5
    return value if fair and not value.is_complex() else None
