"""The names in the steps of a program: find, rename, and drop unused ones."""

import re
from collections.abc import Mapping
from dataclasses import replace

from .program import Program

_WORD = re.compile(r"\w+")


def uses(text: str, name: str) -> bool:
    """Whether an expression uses a name."""
    return name in _WORD.findall(text)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """An expression with renamed names."""
    return _WORD.sub(lambda word: names.get(word[0], word[0]), text)


def trimmed(program: Program) -> Program:
    """The program without the steps that no result needs."""
    kept: set[str] = set()
    queue = list(program.results)
    while queue:
        name = queue.pop()
        if name.startswith("v") and name not in kept:
            kept.add(name)
            text = program.steps[int(name[1:])]
            queue += [f"v{k}" for k in range(int(name[1:])) if uses(text, f"v{k}")]
    order = sorted(int(name[1:]) for name in kept)
    places = {f"v{k}": f"v{position}" for position, k in enumerate(order)}
    return replace(
        program,
        steps=tuple(renamed(program.steps[k], places) for k in order),
        results=tuple(places.get(name, name) for name in program.results),
    )
