"""The state of a conversion in a folder, from which an interrupted one is continued."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from ..errors import QuakeError
from ..runtime.description import Inputs
from ..support.whole_file import whole_file
from .distil import Distillation

# Seconds between two states that are written.
_BETWEEN_SAVES = 20.0


class StateFolder:
    """The folder of one conversion. Without a path nothing is kept.

    Parameters
    ----------
    path : path or None
    model : onnx.ModelProto
    calibration : sequence of what ``Model.run`` takes
    options : sequence
        Everything else that the result depends on, as JSON values.

    Raises
    ------
    QuakeError
        If the folder has the state of another conversion.
    """

    def __init__(
        self,
        path: str | Path | None,
        model: onnx.ModelProto,
        calibration: Sequence[Inputs],
        options: Sequence[object],
    ) -> None:
        self.path = None if path is None else Path(path)
        if self.path is None:
            return
        key = hashlib.sha256(model.SerializeToString(deterministic=True))
        for inputs in calibration:
            for array in arrays(inputs):
                key.update(array.tobytes())
        key.update(json.dumps(options).encode())
        self.path.mkdir(parents=True, exist_ok=True)
        mark = self.path / "conversion.txt"
        if mark.exists() and mark.read_text() != key.hexdigest():
            raise QuakeError(
                f"{self.path} has the state of another conversion: remove it, or give another "
                "folder"
            )
        with whole_file(mark) as temporary:
            temporary.write_text(key.hexdigest())

    def train(self, state: Distillation, number: int, tick: Callable[[], None]) -> None:
        """Train to the end, from where an earlier run stopped."""
        place = None if self.path is None else self.path / f"layer_{number}.npz"
        if place is not None and place.exists():
            state.restore(place)
        last = time.monotonic()

        def each(_: Distillation) -> None:
            nonlocal last
            tick()
            if place is not None and (state.done or time.monotonic() - last > _BETWEEN_SAVES):
                state.save(place)
                last = time.monotonic()

        state.run(each)


def arrays(inputs: Inputs) -> list[np.ndarray]:
    """The inputs of a call, in their order."""
    if isinstance(inputs, Mapping):
        return [np.asarray(array) for array in inputs.values()]
    return [np.asarray(array) for array in (inputs if isinstance(inputs, Sequence) else [inputs])]
