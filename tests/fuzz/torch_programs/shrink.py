"""The smallest program that fails in the same way: fewer results, steps and inputs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from .check import Outcome
from .eager import run
from .names import renamed, trimmed, uses
from .program import Program


def shrunk(program: Program, kind: str, check: Callable[[Program], Outcome]) -> Program:
    """A smaller program with an outcome of the same kind."""
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(program):
            if check(smaller).kind == kind:
                program, improved = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    if len(program.results) > 1:
        for name in program.results:
            yield trimmed(replace(program, results=(name,)))
    for k in range(len(program.steps) - 1):
        yield trimmed(replace(program, results=(f"v{k}",)))
    for k in range(len(program.steps)):
        yield from _cuts(program, k)


def _cuts(program: Program, k: int) -> Iterator[Program]:
    """The program with another value in place of step k's, if that program runs."""
    here, step = f"v{k}", program.steps[k]
    later = program.steps[k + 1 :]
    if not any(uses(text, here) for text in later):
        return
    names = [*(f"x{j}" for j in range(len(program.inputs))), *(f"v{j}" for j in range(k))]
    for other in [name for name in names if uses(step, name)]:
        steps = [*program.steps[: k + 1], *(renamed(text, {here: other}) for text in later)]
        changed = trimmed(replace(program, steps=tuple(steps)))
        try:
            run(changed, changed.module(), changed.tensors())
        except Exception:
            continue
        yield changed
        return
