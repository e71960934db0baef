"""Look-ups and feed-forward layers on ARM, counted: ``python -m quake_tvm.lookup.counted``.

The layers are those of :mod:`.crossover`. Instructions are counted in QEMU and their cycles
modelled (:mod:`quake_tvm.emulation.cost`): every load counts as a hit in the first-level cache. So
the cycles of a look-up, whose tables are in no cache, are a lower bound, and the table says how
many cache lines of tables a row reads. With ``--page docs/benchmarks/lookup.md`` it writes the
table to that page. Knows no training.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import onnx

from ..bench.static import Kernel, Meter, quake
from ..build import import_model
from ..kernels.prefetch import LINE
from ..machines.targets import target
from ..options import DEFAULT_METHOD
from ..support.generated_page import write_section
from .crossover import TABLES, Size
from .layer import STORED

PROGRAM = "python -m quake_tvm.lookup.counted"
TARGETS = ("cortex-a72", "neoverse-n1")
# Rows of a call.
ROWS = 16
_LAYER = "layer"
_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}


def measure(name: str, width: int) -> dict[str, list[Kernel]]:
    """The kernels of the layer and of the look-up in each format, on a target."""
    meter, size = Meter(target(name)), Size(width, ROWS)
    models: dict[str, onnx.ModelProto] = {_LAYER: size.layer(), **size.look_ups()}
    return {
        kind: meter.kernels(import_model(model), quake(DEFAULT_METHOD), kind)
        for kind, model in models.items()
    }


def table(found: dict[tuple[str, int], dict[str, list[Kernel]]]) -> str:
    """Thousands of instructions and cycles a row, and cache lines of tables."""
    lines = [
        "| target | width | | instructions | cycles | of these the look-up | lines of tables |",
        "|---" * 7 + "|",
    ]
    for (name, width), kinds in found.items():
        for kind, kernels in kinds.items():
            cells = [name, str(width), kind if kind == _LAYER else f"look-up, {kind}"]
            cells.append(_thousands([k.calls * k.cost.instructions for k in kernels]))
            cycles = [k.calls * (k.cost.cycles or np.nan) for k in kernels]
            cells.append(_thousands(cycles))
            if kind in STORED:
                cells.append(_thousands(cycles[-1:]))
                cells.append(f"{TABLES[width] * -(-width * _BYTES[kind] // LINE):,}")
            lines.append(f"| {' | '.join(cells)} |" + " |" * (7 - len(cells)))
    return "\n".join(lines)


def _thousands(values: Sequence[float]) -> str:
    return f"{sum(values) / ROWS / 1e3:.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--target", nargs="+", default=TARGETS)
    parser.add_argument("--width", type=int, nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    found = {}
    for name, width in product(options.target, options.width):
        found[name, width] = measure(name, width)
        print(table({(name, width): found[name, width]}), flush=True)
    if options.page:
        write_section(options.page, "counted", table(found))


if __name__ == "__main__":
    main()
