"""A model's kernels beside the machine's peaks, as a table and as a picture. Measures nothing."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from .roofline import Kernel, Roofline
from .show import WIDTH

_GIGA = 1e9
NOTES = """\
least       the larger of two times: the operations at the peak, and the bytes that must be moved,
            at the rate of the second-level cache if they fit there, or of memory
operations  in floating point, as counted in the scheduled code; a multiply-add is two. Dot products
            of bytes and of bfloat16 are not counted"""


def tables(results: Sequence[Roofline]) -> str:
    """A table for each model, those of its kernels that take longest first."""
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    peaks = results[0].peaks
    rates = " ".join(f"{rate / _GIGA:.1f}" for rate in (peaks.first, peaks.second, peaks.memory))
    console.print(
        f"one thread: {peaks.flops / _GIGA:.1f} GFLOP/s; {rates} GB/s from the first-level cache, "
        "the second-level cache, memory",
        highlight=False,
    )
    for result in results:
        console.print(_table(result))
    console.print(NOTES, markup=False, highlight=False)
    return console.export_text().rstrip()


def _table(result: Roofline) -> Table:
    title = f"{result.case.name} {result.case.shape}"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title_justify="left")
    table.add_column("kernel", overflow="fold")
    for name in ("calls", "ms", "share", "GFLOP/s", "GB/s", "least ms", "times least"):
        table.add_column(name.replace(" ", "\n"), justify="right")
    if not result.kernels:
        table.add_row("none: the model computes nothing", *[""] * (len(table.columns) - 1))
        return table
    total = sum(kernel.seconds for kernel in result.kernels)
    for kernel in result.kernels:
        table.add_row(kernel.name, str(kernel.calls), *_cells(kernel, total))
    whole = Kernel(
        "all kernels",
        sum(kernel.calls for kernel in result.kernels),
        total,
        sum(kernel.operations for kernel in result.kernels),
        sum(kernel.size for kernel in result.kernels),
        sum(kernel.least for kernel in result.kernels),
    )
    table.add_section()
    table.add_row(whole.name, str(whole.calls), *_cells(whole, total))
    return table


def _cells(kernel: Kernel, total: float) -> list[str]:
    """What is not known, and a ratio to nothing, is left empty."""
    cells = [
        f"{1e3 * kernel.seconds:.3f}",
        f"{kernel.seconds / total:.0%}",
        f"{kernel.operations / kernel.seconds / _GIGA:.1f}",
        f"{kernel.size / kernel.seconds / _GIGA:.1f}",
        f"{1e3 * kernel.least:.3f}",
        f"{kernel.seconds / kernel.least:.2f}" if kernel.least else "",
    ]
    return ["" if cell == "nan" else cell for cell in cells]


def plot(results: Sequence[Roofline], path: Path) -> None:
    """Draw operations a second over operations a byte, below the machine's peaks.

    A kernel's circle has the area of its time. The path's suffix selects the format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    peaks = results[0].peaks
    intensities = np.logspace(-2, 3, 200)
    for label, rate in (
        ("first-level cache", peaks.first),
        ("second-level cache", peaks.second),
        ("memory", peaks.memory),
    ):
        roof = np.minimum(peaks.flops, rate * intensities) / _GIGA
        axes.plot(intensities, roof, linewidth=1, label=label)
    for result in results:
        shown = [k for k in result.kernels if k.operations > 0 and k.size > 0]
        longest = max((k.seconds for k in shown), default=1.0)
        axes.scatter(
            [k.operations / k.size for k in shown],
            [k.operations / k.seconds / _GIGA for k in shown],
            s=[4 + 300 * k.seconds / longest for k in shown],
            alpha=0.6,
            label=result.case.name,
        )
    axes.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="GFLOP/s, one thread")
    axes.legend(fontsize=8)
    figure.savefig(path, format=path.suffix.removeprefix("."), dpi=150)
