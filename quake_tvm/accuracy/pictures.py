"""Pictures of errors: over the input range, as a histogram in ulp, and against time.

The files are small SVGs, and equal for equal errors.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from ..errors import QuakeError
from ..numerics.ladder import METHODS
from ..support.plots import require_matplotlib
from ..support.whole_file import whole_file
from .findings import absolute_term
from .float32_inputs import SMALLEST_NORMAL
from .kernels import exact, kernel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The range and number of inputs of the error curve. The picture shows the lowest and highest error
# in each of its steps.
RANGE, POINTS, STEPS = 10.0, 180 * 4096, 180
WIDTH = 8.0


def require(folder: Path) -> None:
    """Refuse, before anything is measured, pictures that could not be drawn afterwards.

    Raises
    ------
    QuakeError
        If matplotlib is missing, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuakeError(f"cannot write into {folder}: {error.strerror}") from None
    require_matplotlib(folder / "picture.svg")


@contextmanager
def _picture(path: Path, height: float) -> "Iterator[Figure]":
    """A figure that is written at the end, unless there was an error."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {"svg.hashsalt": path.name, "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure
        with whole_file(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})


def curve(
    operator: str, method: str, target: tvm.target.Target
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The signed relative error after subtracting the absolute term, over [-RANGE, RANGE].

    Parameters
    ----------
    operator, method : str
    target : tvm.target.Target
        Must run on this machine.

    Returns
    -------
    (np.ndarray, np.ndarray, np.ndarray)
        For each of STEPS intervals its first input, and the lowest and the highest error in it.
    """
    x = np.linspace(-RANGE, RANGE, POINTS, endpoint=False, dtype=np.float32)
    q, y = kernel(operator, method, target)(x), exact(operator, target)(x)
    beyond_absolute = np.maximum(0, np.abs(q - y) - absolute_term(operator, method))
    error = beyond_absolute / np.maximum(np.abs(y), SMALLEST_NORMAL)
    signed = np.copysign(error, q - y).reshape(STEPS, -1)
    return x.reshape(STEPS, -1)[:, 0], signed.min(axis=1), signed.max(axis=1)


def draw_errors(
    operator: str, methods: Sequence[str], target: tvm.target.Target, path: Path
) -> None:
    """Draw the error of each rung over a range of inputs, from the compiled kernels.

    Parameters
    ----------
    operator : str
    methods : sequence of str
    target : tvm.target.Target
        Must run on this machine.
    path : Path
        The SVG file to write.
    """
    with _picture(path, 1 + 1.1 * len(methods)) as figure:
        axes = figure.subplots(len(methods), 1, sharex=True, squeeze=False)[:, 0]
        for axis, method in zip(axes, methods, strict=True):
            x, low, high = curve(operator, method, target)
            axis.fill_between(x, low, high, linewidth=0.8, edgecolor="C0")
            axis.axhline(0, color="black", linewidth=0.5)
            axis.set_ylabel(method)
            axis.ticklabel_format(axis="y", scilimits=(-2, 2))
        axes[-1].set_xlabel("x")
        figure.suptitle(f"{operator}: signed relative error")


def draw_ulps(operator: str, ulps: Mapping[str, Sequence[int]], path: Path) -> None:
    """Draw the histogram of errors in ulp.

    Parameters
    ----------
    operator : str
    ulps : mapping of method to sequence of int
        As in :class:`Findings`.
    path : Path
    """
    most = max(map(len, ulps.values()))
    with _picture(path, 4.0) as figure:
        axis = figure.subplots()
        for n, (method, counts) in enumerate(ulps.items()):
            share = np.zeros(most)
            share[: len(counts)] = np.divide(counts, sum(counts))
            width = 0.8 / len(ulps)
            axis.bar(np.arange(most) + n * width, share, width, align="edge", label=method)
        labels = ["<1", *(f"$2^{{{k}}}$" for k in range(most - 1))]
        axis.set_xticks(np.arange(most) + 0.4, labels)
        axis.set(yscale="log", xlabel="error in ulp, from ... on", ylabel="share of inputs")
        figure.suptitle(f"{operator}: error in ulp over all float32", x=0.01, ha="left")
        figure.legend(loc="outside upper right", ncols=len(ulps), fontsize=8)


def draw_latency(operator: str, results: Mapping[str, Any], path: Path) -> None:
    """Draw the largest error against the time per element, one panel for each size.

    Parameters
    ----------
    operator : str
    results : mapping
        As :func:`latency.measure` returns it.
    path : Path
    """
    from matplotlib.ticker import LogLocator

    sizes = results["sizes"]
    with _picture(path, 4.0) as figure:
        axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for axis, size in zip(axes, sizes, strict=True):
            for name, point in size["contenders"].items():
                if point["ns"] <= 0:  # lost in noise
                    continue
                rung = name in METHODS
                axis.plot(point["ns"], point["error"], "o" if rung else "s")
                label = {"xytext": (-6, 4), "ha": "right"} if not rung else {"xytext": (5, 4)}
                at = point["ns"], point["error"]
                axis.annotate(name, at, textcoords="offset points", fontsize=8, **label)
            axis.set(xscale="log", yscale="log", xlabel="ns an element")
            axis.margins(x=0.25, y=0.1)
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.minorticks_off()
            axis.set_title(f"{size['elements']:,} elements", fontsize=9)
        axes[0].set_ylabel("largest error, relative above 1")
        figure.suptitle(f"{operator}: error and time on the same inputs, one thread")
