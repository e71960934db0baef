"""Compile programs, run them and compare the results with eager."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

import quake_tvm

from .compare import allowed, difference
from .program import Program
from .ways import RUNG, WAYS, Batch, compiled, noise

RIGHT, REFUSED, UNEXPORTED = "right", "refused", "not exported"
WRONG, TRACEBACK, CRASH = FAILURES = ("wrong", "traceback", "crash")


@dataclass
class Outcome:
    """The result of a program, and the reason."""

    kind: str
    reason: str = ""


def check(programs: Sequence[Program], ways: Sequence[str] = WAYS) -> list[Outcome]:
    """Compile programs together and compare each. If one is refused, try halves."""
    if any(p.dynamic for p in programs) and len(programs) > 1:
        return [outcome for p in programs for outcome in check([p], ways)]
    batch = Batch(programs)
    found = [Outcome(RIGHT)] * len(programs)
    for way in ways:
        ran = _ran(batch, way)
        if isinstance(ran, Outcome):
            if len(programs) == 1:
                return [ran]
            half = len(programs) // 2
            return [*check(programs[:half], ways), *check(programs[half:], ways)]
        model, results = ran
        for k, program in enumerate(programs):
            mine, results = results[: len(program.results)], results[len(program.results) :]
            if found[k].kind == RIGHT:
                found[k] = _compared(program, batch.parts[k], model, mine, way)
        if programs[0].dynamic and found[0].kind == RIGHT:
            found = [_other_length(programs[0], batch.parts[0], model, way)]
    return found


def _ran(batch: Batch, way: str) -> tuple[Any, list[np.ndarray]] | Outcome:
    """The compiled model and its results, or the reason why there are none."""
    try:
        exported = batch.exported()
    except Exception as error:  # an error of torch
        return Outcome(UNEXPORTED, str(error).splitlines()[0][:100])
    try:
        model = compiled(exported, way, batch.programs[0].dynamic is not None)
        return model, model.run(*[x.numpy() for x in batch.tensors()])
    except quake_tvm.QuakeError as error:
        return Outcome(REFUSED, str(error))
    except Exception as error:
        return Outcome(TRACEBACK, f"{way}: {type(error).__name__}: {str(error)[-300:]}")


def _compared(
    program: Program,
    module: nn.Module,
    model: Any,
    got: list[np.ndarray],
    way: str,
    length: str = "",
) -> Outcome:
    what = difference(got, allowed(program, module, noise(model)), way != RUNG)
    return Outcome(RIGHT) if what is None else Outcome(WRONG, f"{way}: {length}{what}")


def _other_length(program: Program, module: nn.Module, model: Any, way: str) -> Outcome:
    """Run the model with another length of its dynamic dimension: right, or a one-line refusal."""
    which, axis = program.dynamic
    given = program.inputs[which]
    longer = [n + 3 if k == axis else n for k, n in enumerate(given.shape)]
    inputs = list(program.inputs)
    inputs[which] = replace(given, shape=tuple(longer))
    other, length = replace(program, inputs=tuple(inputs)), "other length: "
    try:
        got = model.run(*[x.numpy() for x in other.tensors()])
    except quake_tvm.QuakeError:
        return Outcome(RIGHT)
    except Exception as error:
        return Outcome(TRACEBACK, f"{way}: {length}{type(error).__name__}: {str(error)[:200]}")
    try:
        return _compared(other, module, model, got, way, length)
    except Exception as error:  # an error of torch
        return Outcome(WRONG, f"{way}: {length}eager refuses it: {str(error)[:100]}")
