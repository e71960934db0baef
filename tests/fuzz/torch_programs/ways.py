"""Export several programs as one module and compile it in one of three ways.

"unscheduled" runs all passes except the schedules, at a tenth of the cost of the others. "exact"
and a rung run everything, as does every way for a program with a dynamic dimension.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relax

import quake_tvm
from quake_tvm.build import import_model
from quake_tvm.options import Options
from quake_tvm.passes.relax.pipeline import Pipeline

from .program import Program

UNSCHEDULED, EXACT, RUNG = WAYS = ("unscheduled", "exact", "quake3")


class Batch(nn.Module):
    """Several programs as one module that takes all their inputs and gives all their results."""

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__()
        self.programs = programs
        self.parts = nn.ModuleList([p.module() for p in programs])
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """The results of each program in turn."""
        results, first = [], 0
        for program, part in zip(self.programs, self.parts, strict=True):
            results += part(*inputs[first : first + len(program.inputs)])
            first += len(program.inputs)
        return results

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The inputs of all programs."""
        return tuple(x for program in self.programs for x in program.tensors())

    def exported(self) -> torch.export.ExportedProgram:
        """The exported module. Only a single program may have a dynamic dimension."""
        tensors, dynamic, options = self.tensors(), self.programs[0].dynamic, {}
        if dynamic is not None:
            shapes = [{dynamic[1]: torch.export.Dim.AUTO} if k == dynamic[0] else None
                      for k in range(len(tensors))]  # fmt: skip
            options["dynamic_shapes"] = (tuple(shapes),)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(self, tensors, **options)


class Unscheduled:
    """A program after all passes except the schedules."""

    def __init__(self, exported: torch.export.ExportedProgram) -> None:
        native = quake_tvm.target("native")
        with native:
            mod = Pipeline(native, Options.parse("exact")).upto("fuse")(import_model(exported))
        executable = tvm.compile(mod, tvm.target.Target({"kind": "llvm", "opt-level": 0}))
        self.machine = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The results."""
        result = self.machine["main"](*map(tvm.runtime.tensor, inputs))
        return [array.numpy() for array in result]


def compiled(exported: torch.export.ExportedProgram, way: str, dynamic: bool) -> Any:
    """The compiled module. Its ``run`` gives the results."""
    if way == UNSCHEDULED and not dynamic:
        return Unscheduled(exported)
    return quake_tvm.compile(exported, method=EXACT if way == UNSCHEDULED else way)


def noise(model: Any) -> float:
    """The allowed relative error of a step of a program: the largest bound of a site."""
    sites = [] if isinstance(model, Unscheduled) else model.report.sites
    return max([1e-6, *(site.relative + site.absolute for site in sites)])
