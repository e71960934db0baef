"""The number of TVM's worker threads that a call uses, and their cores.

TVM gives every thread that runs kernels in parallel workers of its own. It pins the workers to the
machine's first cores and restricts the caller to these cores, whatever cores the process may use.
Here nothing is pinned unless the user asks for it. If the user sets no number, no thread has more
workers than it has cores. A forked child has no workers: its calls make new ones. Knows TVM's
runtime, no model.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

from tvm.base import _LOADED_LIBS

from . import forked_workers

# TVM reads these variables when it makes workers. A value set by the user is respected.
_COUNTS = ("TVM_NUM_THREADS", "OMP_NUM_THREADS")
_PINS = "TVM_BIND_THREADS"
_runtime = ctypes.PyDLL(_LOADED_LIBS["tvm_runtime"]._name)
_NAMESPACE = "_ZN3tvm7runtime9threading"
_count: Callable[[], int] = _runtime[f"{_NAMESPACE}14MaxConcurrencyEv"]
_limit = _runtime[f"{_NAMESPACE}17SetMaxConcurrencyEi"]
_limit.restype = None
_renew = _runtime[f"{_NAMESPACE}15ResetThreadPoolEv"]
_renew.restype = None
_UNLIMITED = 0


class _Thread(threading.local):
    """The state of the calling thread."""

    ready = False  # whether :func:`prepare` was called
    forked = False  # whether its workers belong to the parent process
    limit = _UNLIMITED


this_thread = _Thread()


def prepare() -> None:
    """Make this thread ready to run kernels. Callers check ``this_thread.ready`` first."""
    if this_thread.forked:
        _limit(_UNLIMITED)
        _renew()
        this_thread.forked = False
    if not any(name in os.environ for name in _COUNTS) and hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
        if cores < _count():
            this_thread.limit = cores
            _limit(cores)
    this_thread.ready = True


def alone(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, run without worker threads, so that other calls have the cores."""

    def limited(*arguments: Any) -> Any:
        _limit(1)
        try:
            return call(*arguments)
        finally:
            _limit(this_thread.limit)

    return limited


def cores() -> int:
    """The number of cores this thread may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_child() -> None:
    this_thread.ready = False
    if forked_workers.give_up():
        this_thread.forked = True
        _limit(1)  # for code that runs kernels without calling :func:`prepare`


os.environ.setdefault(_PINS, "0")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
