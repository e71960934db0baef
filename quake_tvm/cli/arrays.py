"""The arrays of a command: a model's inputs from files or at random, and how outputs differ.

Loads NumPy, and so is imported when a command is called.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import QuakeError
from ..runtime.description import Described
from ..support.array_file import read_npy, read_npz


def feeds_for(
    model: Described, items: list[str], shapes: Mapping[str, Sequence[int | str]], seed: int
) -> dict[str, Any]:
    """An array for every input of a model.

    Parameters
    ----------
    model : Described
    items : list of str
        ``NAME=FILE.npy``, or ``FILE.npz`` with inputs by name. Other inputs are normally
        distributed, and those of integers are ones.
    shapes : mapping
        The sizes of inputs by name. Other dynamic dimensions get the sizes that files give, or else
        their least, and at least 1.
    seed : int

    Raises
    ------
    QuakeError
        For a file that cannot be read, and for names and sizes that do not fit.
    """
    feeds: dict[str, Any] = {}
    for item in items:
        for name, array in _arrays(item).items():
            if name in feeds:
                raise QuakeError(f"--input gives {name!r} twice")
            feeds[name] = array
    names = [spec.name for spec in model.inputs]
    for name, size in shapes.items():
        if name not in names:
            raise QuakeError(f"--shape: no input {name!r}; the inputs: {', '.join(names)}")
        found = feeds[name].shape if name in feeds else tuple(size)
        if len(found) != len(size) or any(
            isinstance(n, int) and n != m for n, m in zip(size, found, strict=True)
        ):
            raise QuakeError(f"--shape says {tuple(size)} for {name!r}, and its file has {found}")
    known: dict[int | str, int] = {}  # the sizes of dynamic dimensions
    for spec in model.inputs:
        size = feeds[spec.name].shape if spec.name in feeds else shapes.get(spec.name, ())
        known |= {dim: n for dim, n in zip(spec.shape, size, strict=False) if isinstance(n, int)}
    generator = np.random.default_rng(seed)
    for spec in model.inputs:
        if spec.name in feeds:
            continue
        shape = [
            n if isinstance(n, int) else known.get(n, max(1, model.ranges.get(n, (1, None))[0]))
            for n in shapes.get(spec.name, spec.shape)
        ]
        if np.issubdtype(np.dtype(spec.dtype), np.floating):
            feeds[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            feeds[spec.name] = np.ones(shape, spec.dtype)
    return feeds


def _arrays(item: str) -> dict[str, np.ndarray]:
    name, separator, file = item.partition("=")
    if separator:
        return {name: read_npy(file)}
    if item.endswith(".npz"):
        return read_npz(item)
    raise QuakeError(f"--input takes NAME=FILE.npy or FILE.npz, not {item!r}")


def differences(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> dict[str, float]:
    """The largest difference of any element, absolute and relative.

    Equal values and NaN against NaN count as 0, NaN against a number as infinity.
    """
    worst = {"absolute": 0.0, "relative": 0.0}
    for a, b in zip(found, expected, strict=True):
        a, b = (array.astype(np.float64) for array in (a, b))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(all="ignore"):
            apart = np.where(same, 0.0, np.abs(a - b))
            shares = np.where(same, 0.0, apart / np.abs(b))
        for name, values in (("absolute", apart), ("relative", shares)):
            largest = np.nan_to_num(values, nan=np.inf).max(initial=0.0)
            worst[name] = max(worst[name], float(largest))
    return worst
