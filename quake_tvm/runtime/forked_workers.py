"""Remove TVM's worker threads from a forked child, where they do not exist.

Each thread that runs kernels in parallel has a pool of workers in its thread-local memory. After a
fork the child has a copy of that memory but not the worker threads. TVM would wait for them for
ever, at the next kernel or at the end of the process. TVM has no call that drops the pool without
waiting. So the pool is searched in the thread-local memory of TVM's runtime, by conditions on its
fields, and its lists are emptied. If it is not found, nothing is changed. Knows how TVM 0.27 lays
out its pool, no model.
"""

import ctypes

_LIBRARY = b"libtvm_runtime"
_TLS_SEGMENT = 7  # PT_TLS, of ELF


class _Segment(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical", ctypes.c_uint64),
        ("file_size", ctypes.c_uint64),
        ("memory_size", ctypes.c_uint64),
        ("alignment", ctypes.c_uint64),
    ]


class _Loaded(ctypes.Structure):
    _fields_ = [
        ("address", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("segments", ctypes.POINTER(_Segment)),
        ("count", ctypes.c_uint16),
        ("loads", ctypes.c_ulonglong),
        ("unloads", ctypes.c_ulonglong),
        ("tls_number", ctypes.c_size_t),
        ("tls_address", ctypes.c_uint64),
    ]


class _Pool(ctypes.Structure):
    """``tvm::runtime::ThreadPool``: two counts, a flag, a ``std::vector`` and a ``unique_ptr``."""

    _fields_ = [
        ("workers", ctypes.c_int32),
        ("workers_used", ctypes.c_int32),
        ("caller_works", ctypes.c_bool),
        ("queues_begin", ctypes.c_uint64),
        ("queues_end", ctypes.c_uint64),
        ("queues_capacity", ctypes.c_uint64),
        ("threads", ctypes.c_uint64),
    ]

    def is_one(self) -> bool:
        """Whether this memory can be a pool with workers."""
        return (
            0 < self.workers_used <= self.workers
            and self.queues_begin != 0
            and self.queues_end - self.queues_begin == 8 * self.workers
            and self.queues_capacity >= self.queues_end
            and self.threads not in (0, self.queues_begin)
        )


def give_up() -> bool:
    """Empty this thread's pool, whose workers do not exist. Returns whether a pool was found."""
    found = _pools()
    if len(found) != 1:
        return False
    (pool,) = found
    # The objects leak: freeing them would wait for the workers.
    pool.queues_begin = pool.queues_end = pool.queues_capacity = pool.threads = 0
    return True


def _pools() -> list[_Pool]:
    """All places in this thread's memory of TVM's runtime that can be a pool."""
    start, size = _memory()
    step = ctypes.alignment(_Pool)
    places = range(start, start + size - ctypes.sizeof(_Pool) + 1, step) if start else ()
    return [pool for place in places if (pool := _Pool.from_address(place)).is_one()]


def _memory() -> tuple[int, int]:
    """Address and size of this thread's memory of TVM's runtime; zeros if there is none yet."""
    found = (0, 0)

    def see(loaded: "ctypes._Pointer[_Loaded]", _size: int, _data: int) -> int:
        nonlocal found
        library = loaded.contents
        if _LIBRARY not in (library.name or b"") or not library.tls_address:
            return 0
        for segment in library.segments[: library.count]:
            if segment.type == _TLS_SEGMENT:
                found = library.tls_address, segment.memory_size
        return 0

    visit = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p
    )
    ctypes.PyDLL(None).dl_iterate_phdr(visit(see), None)
    return found
