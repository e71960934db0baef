"""Compiles torch's operators on torch's sample inputs, and writes docs/torch_operators.md.

    python -m tests.torch_operators [--jobs N] [--samples N] [operator ...]

Names of operators select some, and their verdicts are printed instead.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from ..fuzz.forked import in_children
from .cases import cases, operators
from .judge import FAULT, REFUSED, RIGHT, WRONG, Verdict, judge
from .page import write
from .preload import preload

_DEADLINE = 600.0  # seconds for the cases of one operator
_OPERATORS = operators()


def _work(item: tuple[str, int, int | None]) -> Iterator[str]:
    """The verdicts on an operator's cases, or on one of them."""
    name, most, only = item
    every = list(cases(_OPERATORS[name], most))
    for verdict in judge(every if only is None else [every[only]]):
        yield json.dumps(asdict(verdict))
    yield str(len(every))


def _verdicts(names: list[str], most: int, jobs: int) -> Iterator[tuple[str, list[Verdict]]]:
    """The verdicts on each operator. If its cases end the process, each runs in its own."""
    found: dict[str, list[Verdict]] = {}
    for ended in in_children(_work, [(name, most, None) for name in names], jobs, _DEADLINE):
        name = ended.item[0]
        if not ended.death:
            yield name, [Verdict(**json.loads(line)) for line in ended.lines[:-1]]
            continue
        found[name] = []
        count = len(list(cases(_OPERATORS[name], most)))
        for one in in_children(_work, [(name, most, k) for k in range(count)], jobs, _DEADLINE):
            if one.death:
                found[name].append(Verdict(f"case {one.item[2]}", FAULT, one.death))
            else:
                found[name] += [Verdict(**json.loads(line)) for line in one.lines[:-1]]
        yield name, found[name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="operator")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=6, help="most of each dtype")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in _OPERATORS]
    if unknown:
        parser.error(f"torch has no cases of {', '.join(unknown)}")
    preload()
    verdicts = {}
    for name, found in _verdicts(given.names or list(_OPERATORS), given.samples, given.jobs):
        verdicts[name] = found
        counts = [sum(v.outcome == o for v in found) for o in (RIGHT, WRONG, REFUSED, FAULT)]
        print("{:40} {} right, {} wrong, {} refused, {} faults".format(name, *counts), flush=True)
        for verdict in found:
            if verdict.outcome in (WRONG, FAULT) or (given.names and verdict.reason):
                print(f"  {verdict.outcome}: {verdict.label}: {verdict.reason}", flush=True)
    if not given.names:
        write(dict(sorted(verdicts.items())))
    return any(v.outcome in (WRONG, FAULT) for found in verdicts.values() for v in found)


if __name__ == "__main__":
    sys.exit(main())
