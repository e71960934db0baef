"""Compare results with those that eager allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .eager import run
from .exceptions import Otherwise
from .program import Program

# The number of runs with noise, and the ratio of the margin to their spread.
_RUNS, _WIDER = 4, 30


@dataclass
class Allowed:
    """The allowed results: eager's values, and the margin for rounding."""

    values: list[np.ndarray]
    margins: list[np.ndarray]


def allowed(program: Program, module: nn.Module, noise: float) -> Allowed:
    """Eager's results, and their spread if each step's result has a relative error up to ``noise``.

    Where torch itself has two results for one operator, either is allowed.
    """
    tensors = program.tensors()
    values = _arrays(run(program, module, tensors))
    others = [_arrays(run(program, module, tensors, noise, k + 1)) for k in range(_RUNS)]
    with Otherwise():
        others.append(_arrays(run(program, module, tensors)))
    margins = [_margin(value, seen) for value, *seen in zip(values, *others, strict=True)]
    return Allowed(values, margins)


def _arrays(results: Sequence[torch.Tensor]) -> list[np.ndarray]:
    return [value.detach().numpy() for value in results]


def _margin(value: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """The allowed distance from a value. It is infinite where another run gave NaN."""
    spread = np.zeros(value.shape)
    with np.errstate(all="ignore"):
        for other in others:
            apart = np.abs(other.astype(np.float64) - value.astype(np.float64))
            same = (other == value) | (np.isnan(other) & np.isnan(value))
            apart = np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))
            np.maximum(spread, apart, out=spread)
    size = np.abs(value.astype(np.float64))
    finite = size[np.isfinite(size)]
    scale = finite.max() if finite.size else 0.0
    step = 2e-3 if value.dtype == np.float16 else 2e-6
    rounding = step * (size + 0.1 * scale) + 1e-30 if value.dtype.kind == "f" else 0.0
    return np.where(np.isinf(spread), np.inf, _WIDER * spread + rounding)


def difference(got: list[np.ndarray], right: Allowed, exact: bool) -> str | None:
    """What is wrong with the results, None if nothing is.

    On a rung only finite values are compared: other tests cover its results at infinities.
    """
    if len(got) != len(right.values):
        return f"{len(got)} outputs, eager has {len(right.values)}"
    for k, (one, value, margin) in enumerate(zip(got, right.values, right.margins, strict=True)):
        if one.dtype != value.dtype or one.shape != value.shape:
            return f"output {k} is {one.dtype}{one.shape}, eager {value.dtype}{value.shape}"
        with np.errstate(all="ignore"):
            x, y = one.astype(np.float64), value.astype(np.float64)
            fits = (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= margin)
            fits |= np.isinf(margin)
            if not exact:
                fits |= ~np.isfinite(y)
        if not fits.all():
            at = tuple(int(n) for n in np.argwhere(~fits)[0]) if fits.ndim else ()
            count = f"{int((~fits).sum())} of {fits.size}"
            return f"output {k} at {at}: {one[at]}, eager {value[at]} ({count} wrong)"
    return None
