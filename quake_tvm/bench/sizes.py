"""Kernels of symbolic size beside static ones: ``python -m quake_tvm.bench.sizes``.

Each kernel is compiled once for any size, and once for each of some random sizes. At each size the
kernels of both builds run in turn, alone, and the outputs of both must have the same bits. With
``--page docs/benchmarks/any_size.md`` it writes the table to that page. Times are CPU seconds of
this process, which has one thread; the least of all rounds counts. Knows no schedule.
"""

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from quake_tvm import compiler
from quake_tvm.runtime.model import Model
from quake_tvm.support.generated_page import write_section
from quake_tvm.support.timing import evaluator_clock

from .cases import random_feeds
from .sized_kernels import GROUPS, Kernel, kernel

PROGRAM = "python -m quake_tvm.bench.sizes"
SIZES, ROUNDS = 20, 15
# CPU seconds that the calls of a turn last.
TURN = 0.002
# Ratios of shorter kernels, in seconds, are left out: their time is that of a few branches.
LEAST = 1e-6
# What a build for any size may take of the time of a static one.
LIMIT = 1.1

Feeds = Mapping[str, np.ndarray]


class Build:
    """The kernels that a compiled model calls for one input, with their arguments."""

    def __init__(self, model: Model, feeds: Feeds) -> None:
        calls: list[tuple[str, Sequence[Any]]] = []

        def note(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
            if before and name in model.report.kernels:
                calls.append((name, arguments))
            return 0

        self.outputs = [np.array(a) for a in model.instrumented(note).run(feeds)]
        self._model, self._calls = model, calls
        self._number = 1
        while self._number * self.seconds() < TURN / 2:
            self._number *= 2

    def seconds(self) -> float:
        """CPU seconds that all calls take together."""
        return sum(self._of_call(name, arguments) for name, arguments in self._calls)

    def _of_call(self, name: str, arguments: Sequence[Any]) -> float:
        number = self._number
        timer = self._model.kernels.time_evaluator(name, tvm.cpu(), number=number)
        return evaluator_clock(lambda _: timer(*arguments))(number)


@dataclass(frozen=True)
class Row:
    """A kernel at one size.

    Attributes
    ----------
    sizes : mapping of letter to int
    any, one : float
        Seconds of the build for any size, and of the build for this size.
    same : bool
        Whether the outputs have the same bits.
    """

    sizes: Mapping[str, int]
    any: float
    one: float
    same: bool

    @property
    def ratio(self) -> float:
        """The time of the build for any size to that of the build for this size."""
        return self.any / self.one

    def __str__(self) -> str:
        at = " ".join(f"{letter}={size}" for letter, size in self.sizes.items())
        return f"{self.ratio:.2f} at {at} ({self.one * 1e6:.3g} µs)"


def rows(case: Kernel, count: int, rounds: int) -> list[Row]:
    """Measure a kernel at random sizes."""
    dynamic = compiler.compile(case.model)
    found = []
    for sizes in case.sizes(count):
        static = compiler.compile(case.model, shapes=case.shapes(sizes))
        feeds = random_feeds(static.inputs)
        both = Build(dynamic, feeds), Build(static, feeds)
        same = [a.tobytes() for a in both[0].outputs] == [a.tobytes() for a in both[1].outputs]
        turns = [[build.seconds() for build in both] for _ in range(rounds)]
        any_size, one_size = map(min, zip(*turns, strict=True))
        found.append(Row(sizes, any_size, one_size, same))
    return found


def line(name: str, found: Sequence[Row]) -> str:
    """A kernel's rows as a row of the table."""
    long = [row for row in found if row.one >= LEAST]
    more = [row.any - row.one for row in found if row.one < LEAST]
    cells = [
        name,
        f"{statistics.median(row.ratio for row in long):.2f}" if long else "",
        str(max(long, key=lambda row: row.ratio)) if long else "",
        f"{sum(row.ratio > LIMIT for row in long)} of {len(long)}",
        f"{max(more) * 1e9:.0f}" if more else "",
        f"{sum(row.same for row in found)} of {len(found)}",
    ]
    return f"| {' | '.join(cells)} |"


HEADER = """\
| kernel | median | worst | above 1.1 | most ns added below 1 µs | same bits |
|---|---|---|---|---|---|"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each result, since it takes long."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("kernels", nargs="*", help="groups or kernels; all by default")
    parser.add_argument("--sizes", type=int, default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--every", action="store_true", help="print every size, too")
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    print(HEADER)
    lines = []
    for group, texts in GROUPS.items():
        for name, text in texts.items():
            if options.kernels and not {group, name} & set(options.kernels):
                continue
            found = rows(kernel(name, text), options.sizes, options.rounds)
            lines.append(line(name, found))
            print(lines[-1], flush=True)
            if options.every:
                print(
                    *(f"    {row}" for row in sorted(found, key=lambda row: -row.ratio)), sep="\n"
                )
    if options.page:
        write_section(options.page, "sizes", "\n".join([HEADER, *lines]))


if __name__ == "__main__":
    main()
