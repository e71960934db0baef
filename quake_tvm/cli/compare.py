"""``quake-tvm compare`` in the shell: a model on each rung beside other runtimes, in one table."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TextColumn, TimeElapsedColumn
from rich.table import Table

from ..errors import QuakeError
from .bench import machine
from .shell import (
    AsJson,
    ModelPath,
    Records,
    Shape,
    output,
    parse_records,
    parse_shapes,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from ..bench.compare import Result, Row
    from ..bench.runtimes import Contender

# A more accurate rung that takes at most so much more time than the fastest is recommended instead.
# Rungs differ by less in most models, and the noise of a measurement is not to decide.
WORTH = 1.05
_OTHERS = ("ONNX Runtime", "OpenVINO")


def compare(
    model: ModelPath,
    shape: Shape = None,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="The same for all.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved repetitions.")] = 15,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Compare a model on every rung with ONNX Runtime and OpenVINO: time, difference, size.

    Ends with the rung to take: the most accurate one within 5 % of the fastest. On one thread,
    times are CPU times of the process, which other programs disturb less. Inputs are random: normal
    floats, and 0 and 1 for integers. On real inputs differences may be much smaller or larger. The
    runtimes take part if they are installed: pip install onnxruntime openvino.
    """
    os.environ.update(TVM_NUM_THREADS=str(threads), TVM_BIND_THREADS="0")  # read when TVM starts
    from ..bench import cases, peers
    from ..bench.compare import compare as measured
    from ..importers.onnx.external import bytes_on_disk
    from ..machines.targets import target
    from ..numerics.ladder import METHODS
    from ..tvm_version import RELAX_INSTALL, RELAY

    if RELAY:
        raise QuakeError(f"compare needs the TVM that has Relax: {RELAX_INSTALL}")
    (case,) = cases.models([model], parse_shapes(shape))
    native, known = target("native"), parse_records(records)
    methods = [*METHODS[::-1], peers.EXACT]
    others = {name: peers.PEERS[name] for name in _OTHERS}
    with progress(TextColumn("{task.description}", markup=False), TimeElapsedColumn()) as bar:
        task = bar.add_task("", total=None)
        result = measured(
            case,
            methods,
            native,
            threads,
            rounds,
            lambda what: bar.update(task, description=what),
            records=known,
            others=others,
            cpu=threads == 1,
        )
        best = recommended(result)
        library = _size(result.contenders[best.contender])
        sizes = {"library": library, "model": bytes_on_disk(model)}
    clock = "CPU" if threads == 1 else "wall"
    facts = {**machine(native), "threads": threads, "rounds": rounds, "clock": clock}
    if as_json:
        print_json({**facts, "bytes": sizes, "take": best.contender, **result.to_dict()})
        return
    title = f"{facts['cpu']}, threads: {threads}, {clock} time"
    output.print(title, markup=False, soft_wrap=True, highlight=False)
    if case.sizes:
        sized = ", ".join(f"{name} = {n}" for name, n in case.sizes.items())
        output.print(sized, markup=False, soft_wrap=True)
    output.print(_table(result, best, sizes))
    for name, reason in result.skipped.items():
        output.print(f"without {name}: {reason}", markup=False, soft_wrap=True)
    output.print(verdict(result, best), markup=False, soft_wrap=True)


def recommended(result: "Result") -> "Row":
    """The most accurate rung that is as fast as the fastest one, within ``WORTH``."""
    from ..numerics.ladder import METHODS

    rungs = {row.contender: row for row in result.rows if row.contender not in _OTHERS}
    limit = WORTH * min(row.seconds.median for row in rungs.values())
    by_accuracy = [rungs[name] for name in (*METHODS, "exact") if name in rungs]
    return [row for row in by_accuracy if row.seconds.median <= limit][-1]


def verdict(result: "Result", best: "Row") -> str:
    """What to take, and how it compares with the fastest of the other runtimes."""
    rivals = [row for row in result.rows if row.contender in _OTHERS]
    advice = f'Take method="{best.contender}"'
    if not rivals:
        return f"{advice}: {best.seconds.median * 1e3:.4g} ms a call."
    rival = min(rivals, key=lambda row: row.seconds.median)
    share = best.seconds.median / rival.seconds.median
    return f"{advice}: {share:.2f} of the time of {rival.contender}."


def _table(result: "Result", best: "Row", sizes: dict[str, int]) -> Table:
    table = Table("", "ms a call", "of the chosen", "largest difference", "MB")
    base = best.seconds.median
    for row in sorted(result.rows, key=lambda row: row.seconds.median):
        other = row.contender in _OTHERS
        size = sizes["model" if other else "library"]
        table.add_row(
            row.contender,
            f"{row.seconds.median * 1e3:.4g}",
            f"{row.seconds.median / base:.2f}",
            "-" if row.difference is None else f"{row.difference:.2g}",
            f"{size / 1e6:.3g}",
            style="bold" if row is best else None,
        )
    return table


def _size(contender: "Contender") -> int:
    """Bytes of the exported library."""
    assert contender.export is not None  # it is this library's
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.so"
        contender.export(path)
        return path.stat().st_size
