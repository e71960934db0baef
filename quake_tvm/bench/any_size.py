"""Compile times of models for any size and for one size: ``python -m quake_tvm.bench.any_size``.

Each argument is ``MODEL.onnx:LENGTH``. The static build has batch 1 and this length in all other
symbolic dimensions. With ``--page docs/compile_time.md`` it writes the table to that page. Times
are CPU seconds of this process, each the least of some rounds. Knows no pass.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quake_tvm.compiler import compile
from quake_tvm.support.generated_page import write_section

from .lengths import Sizes, cases

PROGRAM = "python -m quake_tvm.bench.any_size"
ROUNDS = 3


def seconds(model: Any) -> float:
    """CPU time of compiling a model."""
    start = time.process_time()
    compile(model)
    return time.process_time() - start


def row(path: Path, length: int, rounds: int) -> str:
    """The line of the table for one model."""
    (case,) = cases(path, Sizes([1], [length]))
    compile(case.model)  # load what is loaded only once
    both = [(seconds(case.model), seconds(path)) for _ in range(rounds)]
    one, any_size = map(min, zip(*both, strict=True))
    return f"| {path.stem} | {case.shape} | {one:.2f} | {any_size:.2f} | {any_size / one:.2f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx:LENGTH")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    lines = ["| model | one size | one size, s | any size, s | ratio |", "|---|---|---|---|---|"]
    for each in options.models:
        name, _, length = each.rpartition(":")
        lines.append(row(Path(name), int(length), options.rounds))
        print(lines[-1], flush=True)
    if options.page:
        names = " ".join(Path(each).name for each in options.models)
        command = f"{PROGRAM} {names} --rounds {options.rounds}"
        write_section(options.page, "models", f"`{command}`:\n\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
