"""Large weights in large pages of memory, so that they are read faster.

A CPU finds the address of a page in a table of some thousand entries. The pages of 4 KiB of large
weights do not all fit into it, and a product of one row, which reads each weight once, waits for
the entries. Pages of 2 MiB need fewer entries. They are a hint to Linux (MADV_COLLAPSE, since 6.1);
other systems are left as they are, and no value changes. Knows tensors, no model.
"""

import ctypes
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import tvm

# The function of a compiled module that returns its constants of at least so many bytes.
WEIGHTS, NOT_SMALL = "quake_weights", 1 << 16
PAGE = 2 << 20
# Fewer bytes fit into the table of most CPUs.
LEAST = 16 << 20
_COLLAPSE = 25  # of linux/mman.h
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# The address of a block of memory, and of its end.
Block = tuple[int, int]


def size_of(tensor: tvm.runtime.Tensor) -> int:
    """The bytes of a tensor."""
    return math.prod(map(int, tensor.shape)) * tensor.dtype.itemsize


def joined(blocks: Iterable[Block]) -> list[Block]:
    """Blocks between which less than a page lies as one, cut to whole pages."""
    runs: list[list[int]] = []
    for begin, end in sorted(blocks):
        if runs and begin - runs[-1][1] < PAGE:
            runs[-1][1] = max(end, runs[-1][1])
        else:
            runs.append([begin, end])
    whole = ((-(-begin // PAGE) * PAGE, end // PAGE * PAGE) for begin, end in runs)
    return [(begin, end) for begin, end in whole if begin < end]


def use_large_pages(tensors: Iterable[tvm.runtime.Tensor]) -> None:
    """Ask Linux to move tensors into large pages, if they are large together.

    It takes about two seconds for a gigabyte. Where Linux has no large pages left, or the
    administrator allows none, the memory stays as it is.
    """
    blocks = [(x.data_ptr(), x.data_ptr() + size_of(x)) for x in tensors]
    if sys.platform != "linux" or sum(end - begin for begin, end in blocks) < LEAST:
        return
    try:
        if "[never]" in _SETTING.read_text():
            return
    except OSError:
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for begin, end in joined(blocks):
        madvise(begin, end - begin, _COLLAPSE)
