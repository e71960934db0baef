"""The two kernels with which tables are trained: what they give, and how they change.

Both are compiled for this machine. Codes are row numbers of all tables together. The width of a row
is a multiple of ``LANES``. No bit of a result depends on the number of threads.
"""

from functools import lru_cache

import numpy as np
import tvm
import tvm_ffi
from tvm.script import tirx as T

LANES = 16
_ALIGNMENT = 64


def aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it that starts where TVM's kernels expect arrays to start."""
    if array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous:
        return array
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    result = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def gather(
    codes: np.ndarray, scores: np.ndarray, tables: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """bias + sum over t of scores[:, t] * tables[codes[:, t]].

    Parameters
    ----------
    codes, scores : ndarray
        int32 and float32, of shape (rows, H).
    tables, bias : ndarray
        float32, of shape (entries, width) and (width,).

    Returns
    -------
    ndarray
        float32, of shape (rows, width).
    """
    result = aligned(np.empty((len(codes), tables.shape[1]), np.float32))
    _run("gather", codes.shape[1], tables, codes, scores, tables, bias, result)
    return result


def update(
    codes: np.ndarray,
    steps: np.ndarray,
    errors: np.ndarray,
    slopes_of: np.ndarray,
    tables: np.ndarray,
) -> np.ndarray:
    """Subtract steps[:, t] * errors from the tables' rows, one row of the batch after another.

    Parameters
    ----------
    codes, steps : ndarray
        int32 and float32, of shape (rows, H).
    errors, slopes_of : ndarray
        float32, of shape (rows, width).
    tables : ndarray
        float32, of shape (entries, width), as of :func:`aligned`; changed in place.

    Returns
    -------
    ndarray
        float32, of shape (rows, H): the product of ``slopes_of`` with each table's row as it was
        before its step.
    """
    result = aligned(np.empty(codes.shape, np.float32))
    _run("update", codes.shape[1], tables, codes, steps, errors, slopes_of, tables, result)
    return result


def _run(name: str, count: int, tables: np.ndarray, *arrays: np.ndarray) -> None:
    given = [tvm_ffi.from_dlpack(aligned(array)) for array in arrays]
    _kernels(count, *tables.shape)[name](*given)


@lru_cache(maxsize=8)
def _kernels(count: int, entries: int, width: int) -> tvm.runtime.Module:
    from ..machines.targets import target

    chunks = width // LANES

    @T.prim_func
    def gather(  # type: ignore[no-untyped-def]
        codes_: T.handle,
        scores_: T.handle,
        tables: T.Buffer((entries, width), "float32"),  # type: ignore[valid-type]
        bias: T.Buffer((width,), "float32"),  # type: ignore[valid-type]
        result_: T.handle,
    ):
        rows = T.int64()
        codes = T.match_buffer(codes_, (rows, count), "int32")
        scores = T.match_buffer(scores_, (rows, count), "float32")
        result = T.match_buffer(result_, (rows, width), "float32")
        for i in T.parallel(rows):
            for c in range(chunks):
                for lane in T.vectorized(LANES):
                    result[i, c * LANES + lane] = bias[c * LANES + lane]
            for t in range(count):
                for c in range(chunks):
                    for lane in T.vectorized(LANES):
                        result[i, c * LANES + lane] = (
                            result[i, c * LANES + lane]
                            + scores[i, t] * tables[codes[i, t], c * LANES + lane]
                        )

    @T.prim_func
    def update(  # type: ignore[no-untyped-def]
        codes_: T.handle,
        steps_: T.handle,
        errors_: T.handle,
        slopes_of_: T.handle,
        tables: T.Buffer((entries, width), "float32"),  # type: ignore[valid-type]
        result_: T.handle,
    ):
        rows = T.int64()
        codes = T.match_buffer(codes_, (rows, count), "int32")
        steps = T.match_buffer(steps_, (rows, count), "float32")
        errors = T.match_buffer(errors_, (rows, width), "float32")
        slopes_of = T.match_buffer(slopes_of_, (rows, width), "float32")
        result = T.match_buffer(result_, (rows, count), "float32")
        for t in T.parallel(count):
            for i in range(rows):
                total = T.alloc_buffer((LANES,), "float32")
                for lane in T.vectorized(LANES):
                    total[lane] = T.float32(0)
                for c in range(chunks):
                    for lane in T.vectorized(LANES):
                        total[lane] = (
                            total[lane]
                            + tables[codes[i, t], c * LANES + lane] * slopes_of[i, c * LANES + lane]
                        )
                    for lane in T.vectorized(LANES):
                        tables[codes[i, t], c * LANES + lane] = (
                            tables[codes[i, t], c * LANES + lane]
                            - steps[i, t] * errors[i, c * LANES + lane]
                        )
                result[i, t] = T.float32(0)
                for lane in range(LANES):
                    result[i, t] = result[i, t] + total[lane]

    return tvm.compile(tvm.IRModule({"gather": gather, "update": update}), target("native"))
