"""The weights of a graph as they were when it was compiled, to see whether they still are.

Knows torch, and nothing of this library.
"""

import weakref

import torch

# Integers of as many bytes as a value has: their comparison takes NaN as equal to itself.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Weight:
    """A weight at one time. Does not keep it alive.

    Parameters
    ----------
    tensor : torch.Tensor

    Notes
    -----
    torch counts writes into a tensor. It does not count those into tensors of inference mode, nor
    those of a batch norm into its statistics. So the values of all but parameters are kept and
    compared. Writes into a parameter through ``.data`` are not seen.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = weakref.ref(tensor)
        self._memory = tensor.detach()  # keeps the address from being given to other values
        self._version = _version(tensor)
        counted = isinstance(tensor, torch.nn.Parameter) and not tensor.is_inference()
        self._values = None if counted else _bits(tensor).clone()

    @property
    def uncounted(self) -> bool:
        """Whether this is a parameter of inference mode, so that its values are compared."""
        tensor = self._tensor()
        return isinstance(tensor, torch.nn.Parameter) and self._values is not None

    @property
    def alive(self) -> bool:
        """Whether the tensor still exists."""
        return self._tensor() is not None

    def same(self, tensor: torch.Tensor) -> bool:
        """Whether this is the weight, with the values that it had."""
        return (
            self._memory.data_ptr() == tensor.data_ptr()
            and self._version == _version(tensor)
            and self._tensor() is tensor
            and (self._values is None or torch.equal(self._values, _bits(tensor)))
        )


def _version(tensor: torch.Tensor) -> int:
    """How often a tensor has been written; 0 for those of inference mode, which do not count it."""
    return 0 if tensor.is_inference() else tensor._version


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().view(_BITS.get(tensor.element_size(), tensor.dtype))
