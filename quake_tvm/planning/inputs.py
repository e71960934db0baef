"""Read calibration inputs from files, each with the arrays of one call or of many calls.

Knows numpy only.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import QuakeError
from ..runtime.model_tensor import ModelTensor
from ..support.array_file import read_npz


def read(paths: Sequence[Path], inputs: Sequence[ModelTensor]) -> list[dict[str, np.ndarray]]:
    """The inputs of each call.

    Parameters
    ----------
    paths : sequence of Path
        ``.npz`` files. If an array has one axis more than the model's input, the first axis counts
        the calls.
    inputs : sequence of ModelTensor
        The model's inputs.

    Returns
    -------
    list of dict of name to array

    Raises
    ------
    QuakeError
        For a file that cannot be read, or whose arrays do not fit the model's inputs.
    """
    return [call for path in paths for call in _calls(path, inputs)]


def _calls(path: Path, inputs: Sequence[ModelTensor]) -> list[dict[str, np.ndarray]]:
    arrays = read_npz(path)
    names = [i.name for i in inputs]
    if sorted(arrays) != sorted(names):
        found = ", ".join(sorted(arrays)) or "nothing"
        raise QuakeError(f"{path} holds {found}; the model takes {', '.join(names)}")
    more = {arrays[i.name].ndim - len(i.shape) for i in inputs}
    if more == {0}:
        return [arrays]
    counts = {arrays[name].shape[0] for name in names} if more == {1} else set()
    if counts == {0}:
        raise QuakeError(f"{path} holds the inputs of no call")
    if len(counts) != 1:
        shapes = ", ".join(f"{i.name} {'x'.join(map(str, i.shape))}" for i in inputs)
        raise QuakeError(
            f"{path} fits neither one call ({shapes}) nor, with one axis more in front, many"
        )
    return [{name: arrays[name][n] for name in names} for n in range(counts.pop())]
