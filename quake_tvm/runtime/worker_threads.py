"""How many of TVM's worker threads a call uses, and on which cores.

TVM gives every thread that runs kernels in parallel workers of its own, pins them to the machine's
first cores and lets the caller run on these only, whatever cores the process was given. Here
nothing is pinned unless the user asks for it, and without a number of the user's own no thread has
more workers than it has cores. A forked child has no workers: its calls make new ones. Knows TVM's
runtime, no model.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

from tvm.base import _LOADED_LIBS

from . import forked_workers

# TVM asks for these when it makes workers. The user's own value stands.
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
    """What is known of the thread that asks."""

    ready = False  # whether :func:`prepare` need not be called
    forked = False  # whether its workers were another process's
    limit = _UNLIMITED


this_thread = _Thread()


def prepare() -> None:
    """Make this thread ready to run kernels. Whoever does so asks ``this_thread.ready`` before."""
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
    """The call without workers, so that others have the cores."""

    def limited(*arguments: Any) -> Any:
        _limit(1)
        try:
            return call(*arguments)
        finally:
            _limit(this_thread.limit)

    return limited


def cores() -> int:
    """How many cores this thread may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_child() -> None:
    this_thread.ready = False
    if forked_workers.give_up():
        this_thread.forked = True
        _limit(1)  # for who runs kernels without asking


os.environ.setdefault(_PINS, "0")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
