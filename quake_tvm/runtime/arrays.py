"""Arrays into the virtual machine and tensors out of it, copied only where necessary.

Knows numpy's and the runtime's memory, no model.
"""

from typing import Any

import numpy as np
import tvm
import tvm_ffi

# Compiled kernels load whole vectors from the addresses of their arguments. The runtime's own
# tensors, and so a model's outputs, have this alignment in bytes; numpy's arrays mostly do not.
ALIGNMENT = 64


class InputBuffer:
    """Converts the arrays of one input to tensors.

    Contiguous, aligned, writable arrays are passed without a copy. Others are copied into a buffer
    that is kept for the next call.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._buffer: tvm.runtime.Tensor | None = None
        self._view: np.ndarray = np.empty(0)

    def tensor(self, array: np.ndarray) -> tvm.runtime.Tensor:
        """The array, which must have this buffer's dtype, as a tensor for the virtual machine."""
        if self.dtype.kind == "V":  # bfloat16 and similar dtypes, for which numpy has no dlpack
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
    """The tensors of a possibly nested result, as array views that keep the memory alive."""
    if isinstance(result, tvm.runtime.Tensor):
        try:
            return [np.from_dlpack(result)]
        except RuntimeError:  # a dtype that numpy does not take
            return [result.numpy()]
    if all(isinstance(item, int) for item in result):  # a shape
        return [np.array(list(result), dtype=np.int64)]
    return [leaf for item in result for leaf in arrays(item)]
