"""Arrays into the virtual machine and its tensors out, copied only where they must be.

Knows numpy's and the runtime's memory, no model.
"""

from typing import Any

import numpy as np
import tvm
import tvm_ffi

# Compiled kernels load whole vectors from where their arguments begin. The runtime's own tensors,
# hence a model's outputs, begin on such an address; numpy's arrays mostly do not.
ALIGNMENT = 64


class InputBuffer:
    """The way in for one input.

    Contiguous, aligned, writable arrays go in as they are. Others are copied into a buffer that is
    kept for the next call.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._buffer: tvm.runtime.Tensor | None = None
        self._view: np.ndarray = np.empty(0)

    def tensor(self, array: np.ndarray) -> tvm.runtime.Tensor:
        """The array, of this buffer's dtype, as the machine takes it."""
        if self.dtype.kind == "V":  # bfloat16 and its kin: numpy does not hand them over
            return tvm.runtime.tensor(np.ascontiguousarray(array).reshape(array.shape))
        flags = array.flags
        if flags.c_contiguous and flags.writeable and array.size:  # numpy's empty strides differ
            tensor = tvm_ffi.from_dlpack(array)
            if tensor.data_ptr() % ALIGNMENT == 0:
                return tensor
        if self._buffer is None or self._view.shape != array.shape:
            self._buffer = tvm.runtime.empty(array.shape, str(self.dtype))
            self._view = np.from_dlpack(self._buffer)
        self._view[...] = array
        return self._buffer


def arrays(result: Any) -> list[np.ndarray]:
    """The tensors of a possibly nested result, as views that keep their memory alive."""
    if isinstance(result, tvm.runtime.Tensor):
        try:
            return [np.from_dlpack(result)]
        except RuntimeError:  # a dtype that numpy does not take
            return [result.numpy()]
    if all(isinstance(item, int) for item in result):  # a shape
        return [np.array(list(result), dtype=np.int64)]
    return [leaf for item in result for leaf in arrays(item)]
