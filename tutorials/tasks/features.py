"""A model's features: build, run in batches, collect. Knows no task and no way to build."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from .builds import Build, Inputs

T = TypeVar("T")


def steps(items: Sequence[T], label: str) -> Iterable[T]:
    """The items. If standard error is a terminal, a progress bar is shown."""
    console = Console(stderr=True)
    return track(items, label, console=console, transient=True, disable=not sys.stderr.isatty())


def features(
    label: str,
    model: Any,
    build: Build,
    inputs: Inputs,
    batch: int,
    typical: Inputs | None = None,
) -> np.ndarray:
    """The model's first output for every row of its inputs.

    Parameters
    ----------
    label : str
        For the progress bar.
    model : path, onnx.ModelProto or torch.export.ExportedProgram
    build : Build
    inputs : mapping of name to array
        ``(items, ...)``; the last batch is filled up with the last item.
    batch : int
        The items of a batch.
    typical : mapping of name to array, optional
        Inputs of items to calibrate on, if the model has convolutions.

    Returns
    -------
    numpy.ndarray
        ``(items, ...)``
    """
    run = build(model, {name: (batch, *a.shape[1:]) for name, a in inputs.items()}, typical)
    items = len(next(iter(inputs.values())))
    rows = []
    for start in steps(range(0, items, batch), label):
        chosen = np.arange(start, start + batch)
        rows.append(run({n: a.take(chosen, axis=0, mode="clip") for n, a in inputs.items()}))
    return np.concatenate(rows)[:items]
