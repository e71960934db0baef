"""A random torch program: inputs, modules and one expression after another, as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

_SPECIAL = (float("nan"), float("inf"), -float("inf"), -0.0, 1e-40, 1e30, -1e30)


@dataclass(frozen=True)
class Input:
    """An input tensor of a program."""

    dtype: str
    shape: tuple[int, ...]
    seed: int
    special: bool = False

    def tensor(self) -> torch.Tensor:
        """Its values, the same for the same seed."""
        generator = np.random.default_rng(self.seed)
        dtype = getattr(torch, self.dtype)
        if not dtype.is_floating_point:
            low, high = (0, 2) if dtype == torch.bool else (-4, 6)
            return torch.from_numpy(generator.integers(low, high, self.shape)).to(dtype)
        values = np.asarray(generator.normal(0, 2, self.shape), np.float32)
        if self.special and values.size:
            where = generator.random(self.shape) < 0.2
            special = generator.choice(_SPECIAL, self.shape)
            values = np.where(where, special, values).astype(np.float32)
        return torch.from_numpy(np.array(values)).to(dtype)


@dataclass(frozen=True)
class Program:
    """Inputs ``x0, x1, …``, modules ``self.m0, …``, steps ``v0, v1, …``; the last is a result."""

    seed: int
    inputs: tuple[Input, ...]
    modules: tuple[str, ...]
    steps: tuple[str, ...]
    results: tuple[str, ...]
    dynamic: tuple[int, int] | None = None  # an input and one of its axes

    def source(self) -> str:
        """The module as Python."""
        names = "".join(f", x{k}" for k in range(len(self.inputs)))
        lines = [
            "class Module(nn.Module):",
            "    def __init__(self):",
            "        super().__init__()",
            f"        torch.manual_seed({self.seed})",
            *(f"        self.m{k} = {text}" for k, text in enumerate(self.modules)),
            "",
            f"    def forward(self{names}):",
            *(f"        v{k} = {text}" for k, text in enumerate(self.steps)),
            f"        return {', '.join(self.results)},",
        ]
        return "\n".join(lines)

    def script(self) -> str:
        """A script that prints what this program gives, compiled and eager."""
        given = list(zip(self.inputs, self.tensors(), strict=True))
        lines = [
            "import torch, quake_tvm",
            "from torch import nn",
            "from torch.nn import functional as F",
            "nan, inf = float('nan'), float('inf')",
            self.source(),
            *(
                f"x{k} = torch.tensor({x.tolist()}, dtype=torch.{i.dtype}).reshape({list(i.shape)})"
                for k, (i, x) in enumerate(given)
            ),
            f"inputs = ({', '.join(f'x{k}' for k in range(len(given)))},)",
            "module = Module().eval()",
            "program = torch.export.export(module, inputs)",
            "model = quake_tvm.compile(program, method='exact')",
            "print(model.run(*[x.numpy() for x in inputs]), module(*inputs))",
        ]
        return "\n".join(lines)

    def module(self) -> nn.Module:
        """The module in eval mode. Its running statistics are not the defaults."""
        space = scope()
        exec(self.source(), space)
        module = space["Module"]().eval()
        torch.manual_seed(self.seed)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if "running" in name:
                    buffer.uniform_(0.5, 2)
        return module

    def tensors(self) -> list[torch.Tensor]:
        """The inputs' values."""
        return [given.tensor() for given in self.inputs]


def scope(**values: Any) -> dict[str, Any]:
    """The names that a program's text may use, and ``values``."""
    return {"torch": torch, "nn": nn, "F": nn.functional, **values}


def named(tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs under their names."""
    return {f"x{k}": x for k, x in enumerate(tensors)}
