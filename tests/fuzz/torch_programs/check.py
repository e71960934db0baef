"""Programs compiled, run and compared.

There are three ways of compiling. "unscheduled" is every pass but the schedules, at a tenth of the
cost of the others. "exact" and a rung are the whole way.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relax

import quake_tvm
from quake_tvm.compiler import import_model
from quake_tvm.passes.pipeline import fusion_passes, lowering_passes

from .compare import allowed, difference
from .program import Program

WAYS = ("unscheduled", "exact", "quake3")
RIGHT, REFUSED, UNEXPORTED = "right", "refused", "not exported"
WRONG, TRACEBACK, CRASH = FAILURES = ("wrong", "traceback", "crash")


@dataclass
class Outcome:
    """What became of a program, and why."""

    kind: str
    reason: str = ""


class _Batch(nn.Module):
    """Programs side by side, each with its inputs."""

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__()
        self.parts = nn.ModuleList([p.module() for p in programs])
        self.counts = [len(p.inputs) for p in programs]

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        results, first = [], 0
        for part, count in zip(self.parts, self.counts, strict=True):
            results += part(*inputs[first : first + count])
            first += count
        return results


class _Unscheduled:
    """A program that has been through all passes but the schedules."""

    def __init__(self, exported: Any) -> None:
        native = quake_tvm.target("native")
        passes = [*lowering_passes(native, method="exact"), *fusion_passes(native)]
        with native:
            mod = tvm.transform.Sequential(passes)(import_model(exported))
        executable = tvm.compile(mod, tvm.target.Target({"kind": "llvm", "opt-level": 0}))
        self.machine = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        result = self.machine["main"](*map(tvm.runtime.tensor, inputs))
        return [array.numpy() for array in result]


def check(programs: Sequence[Program], ways: Sequence[str] = WAYS) -> list[Outcome]:
    """Compile programs together and compare each; in halves where one of them is refused."""
    if any(p.dynamic for p in programs) and len(programs) > 1:
        return [outcome for p in programs for outcome in check([p], ways)]
    module = _Batch(programs).eval()
    tensors = [x for p in programs for x in p.tensors()]
    found = [Outcome(RIGHT)] * len(programs)
    for way in ways:
        failed = None
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exported = _export(programs, module, tensors)
        except Exception as error:  # torch's own
            failed = Outcome(UNEXPORTED, str(error).splitlines()[0][:100])
        try:
            if failed is None:
                method = "exact" if way == "unscheduled" else way
                if way == "unscheduled" and programs[0].dynamic is None:
                    model = _Unscheduled(exported)
                else:
                    model = quake_tvm.compile(exported, method=method)
                got = model.run(*[x.numpy() for x in tensors])
        except quake_tvm.QuakeError as error:
            failed = Outcome(REFUSED, str(error))
        except Exception as error:
            failed = Outcome(TRACEBACK, f"{way}: {type(error).__name__}: {str(error)[-300:]}")
        if failed is not None and len(programs) > 1:
            half = len(programs) // 2
            return [*check(programs[:half], ways), *check(programs[half:], ways)]
        if failed is not None:
            return [failed]
        noise = 1e-6 if method == "exact" else _noise(model)
        first = 0
        for k, (program, part) in enumerate(zip(programs, module.parts, strict=True)):
            mine = got[first : first + len(program.results)]
            first += len(program.results)
            what = difference(mine, allowed(program, part, noise), method == "exact")
            if what is not None and found[k].kind == RIGHT:
                found[k] = Outcome(WRONG, f"{way}: {what}")
        if programs[0].dynamic and found[0].kind == RIGHT:
            found = [_other_length(programs[0], model, module.parts[0], noise, method)]
    return found


def _noise(model: quake_tvm.Model) -> float:
    """The largest bound of a site."""
    return max([1e-6, *(site.relative + site.absolute for site in model.report.sites)])


def _export(programs: Sequence[Program], module: nn.Module, tensors: list[torch.Tensor]) -> Any:
    program = programs[0]
    if program.dynamic is None:
        return torch.export.export(module, tuple(tensors))
    which, axis = program.dynamic
    shapes = [{axis: torch.export.Dim.AUTO} if k == which else None for k in range(len(tensors))]
    return torch.export.export(module, tuple(tensors), dynamic_shapes=(tuple(shapes),))


def _other_length(
    program: Program, model: quake_tvm.Model, module: nn.Module, noise: float, method: str
) -> Outcome:
    """The model with another length of its dynamic dimension: right, or refused in one line."""
    which, axis = program.dynamic
    spec = program.inputs[which]
    longer = [n + 3 if k == axis else n for k, n in enumerate(spec.shape)]
    inputs = list(program.inputs)
    inputs[which] = replace(spec, shape=tuple(longer))
    other = replace(program, inputs=tuple(inputs))
    try:
        got = model.run(*[x.numpy() for x in other.tensors()])
    except quake_tvm.QuakeError:
        return Outcome(RIGHT)
    except Exception as error:
        return Outcome(TRACEBACK, f"other length: {type(error).__name__}: {str(error)[:200]}")
    try:
        right = allowed(other, module, noise)
    except Exception as error:
        return Outcome(WRONG, f"{method}: eager refuses the other length: {str(error)[:100]}")
    what = difference(got, right, method == "exact")
    return Outcome(RIGHT) if what is None else Outcome(WRONG, f"{method}, other length: {what}")
