"""Dense projections beside BH4: ``python -m quake_tvm.lookup.projections``.

Look-ups of the paper's layout with random weights and int8 tables, for several numbers of rows a
call. Times are CPU seconds of this process, which has one thread; both take turns, and the least of
all rounds counts. With ``--page docs/benchmarks/lookup.md`` it writes the table to that page.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from pathlib import Path

import numpy as np
import onnx

from ..compiler import compile
from ..support.generated_page import write_section
from ..support.timing import Clock, Timer, cpu_clock, interleave
from .crossover import BITS, INPUTS, ROUNDS
from .crossover import TABLES as WIDE
from .paper_layout import to_onnx

PROGRAM = "python -m quake_tvm.lookup.projections"
# The number of tables for a width.
TABLES = {128: 64, **WIDE}
ROWS = (1, 16, 128)
# BH4's blocks are so wide, as in the paper.
BLOCK = 64
KINDS = DENSE, BH4 = "dense", "BH4"


def _blocks(width: int) -> int:
    """BH4's blocks: the least power of two that covers the width."""
    return 1 << (-(-width // BLOCK) - 1).bit_length()


def layer(width: int, kind: str) -> onnx.ModelProto:
    """A layer with random weights."""
    random, columns, blocks = np.random.default_rng(0), TABLES[width] * BITS, _blocks(width)
    padded = blocks * BLOCK
    # The weight's shape, and the variance that it is divided by, so that z is about 1.
    shape, size = {
        DENSE: ((columns, width), width),
        BH4: ((-(-columns // padded), 4, blocks, BLOCK, BLOCK), padded * BLOCK),
    }[kind]
    state = {
        "LayerNorm.weight": np.ones(width),
        "LayerNorm.bias": np.zeros(width),
        "hash.projection.weight": random.standard_normal(shape) / np.sqrt(size),
        "hash.projection.bias": np.zeros(columns),
        "tables": random.standard_normal((TABLES[width], 1 << BITS, width)),
        "bias": np.zeros(width),
    }
    return to_onnx(state, form="int8")


def products(width: int, kind: str) -> int:
    """The multiplications of a row's projection; those by signs count as well."""
    blocks, columns = _blocks(width), TABLES[width] * BITS
    padded = blocks * BLOCK
    repeats = -(-columns // padded)
    return width * columns if kind == DENSE else repeats * 4 * padded * (BLOCK + blocks)


def measure(width: int, rows: int, rounds: int) -> dict[str, float]:
    """Seconds of a call by projection."""
    random = np.random.default_rng(1)
    inputs = random.standard_normal((INPUTS, rows, width)).astype(np.float32)

    def clock(kind: str) -> Clock:
        built, calls = compile(layer(width, kind), shapes={"x": (rows, width)}), cycle(inputs)
        return cpu_clock(lambda: built.run({"x": next(calls)}))

    timed = interleave({kind: Timer(clock(kind)) for kind in KINDS}, rounds)
    return {kind: min(each) for kind, each in timed.items()}


def table(found: Mapping[tuple[int, int], Mapping[str, float]]) -> str:
    """Microseconds a row, and the multiplications of each projection."""
    titles = ["width", "rows", *(f"multiplications, {kind}" for kind in KINDS)]
    titles += [f"µs a row, {kind}" for kind in KINDS]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for (width, rows), seconds in found.items():
        counts = [f"{products(width, kind):,}" for kind in KINDS]
        times = [f"{1e6 * seconds[kind] / rows:.2f}" for kind in KINDS]
        lines.append(f"| {' | '.join([str(width), str(rows), *counts, *times])} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each row, since it takes long."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    found = {}
    for width, rows in product(TABLES, ROWS):
        found[width, rows] = measure(width, rows, options.rounds)
        print(table({(width, rows): found[width, rows]}).splitlines()[-1], flush=True)
    if options.page:
        write_section(options.page, "projections", table(found))


if __name__ == "__main__":
    main()
