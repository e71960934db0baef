"""The state of a model: tensors that a run changes and the next run continues with.

Such a model's ``main`` takes them behind its inputs and returns them behind its outputs. A kernel
may write into the memory of one; then ``main`` returns this memory. Knows no model.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tvm
from numpy.typing import NDArray

# The attribute of an imported function: what its last inputs are before the first run.
STATE = "quake_state"


@dataclass(frozen=True)
class Initial:
    """The value of a tensor of the state before the first run.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
    content : str
        The bytes of the tensor in base64; of one element, if all are equal.
    """

    shape: tuple[int, ...]
    dtype: str
    content: str

    @classmethod
    def of(cls, array: NDArray) -> "Initial":
        flat = np.ascontiguousarray(array).reshape(-1)
        equal = flat.size > 0 and flat.tobytes() == flat[:1].tobytes() * flat.size
        raw = (flat[:1] if equal else flat).tobytes()
        return cls(array.shape, str(array.dtype), b64encode(raw).decode())

    @classmethod
    def from_json(cls, text: str) -> "Initial":
        shape, dtype, content = json.loads(text)
        return cls(tuple(shape), dtype, content)

    def to_json(self) -> str:
        return json.dumps([self.shape, self.dtype, self.content])

    def tensor(self) -> tvm.runtime.Tensor:
        """A new tensor with this value."""
        made = tvm.runtime.empty(self.shape, self.dtype)
        elements = np.frombuffer(b64decode(self.content), self.dtype)
        if elements.size != 1:
            elements = elements.reshape(self.shape)
        np.from_dlpack(made)[...] = elements
        return made


def keep(state: Sequence[tvm.runtime.Tensor], new: Sequence[tvm.runtime.Tensor]) -> None:
    """Write the new values into the memory of the state, where they are not there already.

    A new value may be what another tensor of the state was: such values are copied first.
    """
    held = {own.data_ptr() for own in state}
    moved = []
    for own, value in zip(state, new, strict=True):
        if own.data_ptr() != value.data_ptr():
            array = np.from_dlpack(value)
            moved.append((own, array.copy() if value.data_ptr() in held else array))
    for own, array in moved:
        np.from_dlpack(own)[...] = array
