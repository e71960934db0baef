"""A model's features on every rung: compile, run in batches, collect. Knows no task."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

import quake_tvm
from quake_tvm.numerics.ladder import METHODS as RUNGS
from sentence_encoder import without_warning

METHODS = ("exact", *RUNGS)
T = TypeVar("T")


def steps(items: Sequence[T], label: str) -> Iterable[T]:
    """The items. If standard error is a terminal, a progress bar is shown."""
    console = Console(stderr=True)
    return track(items, label, console=console, transient=True, disable=not sys.stderr.isatty())


def features(
    label: str,
    model: Any,
    method: str,
    inputs: Mapping[str, np.ndarray],
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> np.ndarray:
    """The model's first output for every row of its inputs.

    Parameters
    ----------
    label : str
        For the progress bar.
    model
        A model that :func:`quake_tvm.compile` accepts, for batches of one size.
    method : str
    inputs : mapping of name to array
        ``(items, ...)``; the last batch is filled up with the last item.
    shapes : mapping of name to shape, optional
        The shapes of a batch, for dimensions that are dynamic in the model.

    Returns
    -------
    numpy.ndarray
        ``(items, ...)``
    """
    with without_warning("Fast mode segfaults"):
        compiled = quake_tvm.compile(model, method=method, shapes=shapes)
    size = compiled.inputs[0].shape[0]
    items = len(next(iter(inputs.values())))
    rows = []
    for start in steps(range(0, items, size), f"{label}, {method}"):
        batch = np.arange(start, start + size)
        feeds = {n: a.take(batch, axis=0, mode="clip") for n, a in inputs.items()}
        rows.append(compiled.run(feeds)[0])
    return np.concatenate(rows)[:items]
