"""The state of a conversion in a folder, from which an interrupted one is continued."""

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import numpy as np
import onnx

from ..errors import QuakeError
from ..runtime.description import Inputs
from ..support import given
from ..support.whole_file import whole_file
from .distil import Distillation

# Seconds between two states that are written.
_BETWEEN_SAVES = 20.0
# Files of the folder: what the conversion is of, a lock, and a state for each layer.
_MARK, _LOCK, _LAYER = "conversion.txt", "lock", "layer_{}.npz"


class StateFolder(AbstractContextManager["StateFolder"]):
    """The folder of one conversion, for a ``with`` block. Without a path nothing is kept.

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
        If the folder cannot be written, is in use, or has the state of another conversion.
    """

    def __init__(
        self,
        path: str | Path | None,
        model: onnx.ModelProto,
        calibration: Sequence[Inputs],
        options: Sequence[object],
    ) -> None:
        self._held = ExitStack()
        self.path = None if path is None else given.path(path, "the folder of the state")
        if self.path is None:
            return
        key = hashlib.sha256(model.SerializeToString(deterministic=True))
        for inputs in calibration:
            names = list(inputs) if isinstance(inputs, Mapping) else None
            found = arrays(inputs)
            key.update(repr([names, [(a.shape, str(a.dtype)) for a in found]]).encode())
            for array in found:
                key.update(array.tobytes())
        key.update(json.dumps(options, default=int).encode())
        with ExitStack() as held:  # an error releases the lock
            self._open(self.path, key.hexdigest(), held)
            self._held = held.pop_all()

    def _open(self, path: Path, key: str, held: ExitStack) -> None:
        """Make the folder this conversion's, or raise QuakeError."""
        mark = path / _MARK
        try:
            path.mkdir(parents=True, exist_ok=True)
            _lock(path / _LOCK, held)
            other = mark.exists() and mark.read_text() != key
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise QuakeError(f"cannot keep the state in {path}: {reason}") from None
        if other:
            raise QuakeError(
                f"{path} has the state of another conversion: remove it, or give another folder"
            )
        with whole_file(mark) as temporary:
            temporary.write_text(key)

    def __exit__(self, *_: object) -> None:
        """Release the folder, and remove it if it has no layer's state."""
        if self.path is not None and not any(self.path.glob(_LAYER.format("*"))):
            remove(self.path)
        self._held.close()

    def train(self, state: Distillation, number: int, tick: Callable[[], None]) -> None:
        """Train to the end, from where an earlier run stopped."""
        place = None if self.path is None else self.path / _LAYER.format(number)
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


def _lock(path: Path, held: ExitStack) -> None:
    """Lock the folder until ``held`` is closed, or until the process ends."""
    file = held.enter_context(path.open("wb"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise QuakeError(
            f"another conversion uses {path.parent}: wait for its end, or give another folder"
        ) from None


def remove(path: Path) -> None:
    """Remove a conversion's state, and the folder if it has nothing else."""
    for each in (path / _MARK, path / _LOCK, *path.glob(_LAYER.format("*"))):
        each.unlink(missing_ok=True)
    with suppress(OSError):
        path.rmdir()


def arrays(inputs: Inputs) -> list[np.ndarray]:
    """The inputs of a call, in their order."""
    if isinstance(inputs, Mapping):
        return [np.asarray(array) for array in inputs.values()]
    return [np.asarray(array) for array in (inputs if isinstance(inputs, Sequence) else [inputs])]
