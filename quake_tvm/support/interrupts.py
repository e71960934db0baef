"""Ctrl-C: one line and status 130 in the shell, KeyboardInterrupt wherever else it comes.

Imports nothing of this library: an interrupt may come while that loads.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

STATUS = 128 + signal.SIGINT


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, except inside an import: some modules in C++ end it by abort()."""
    at = frame
    while at is not None:
        if at.f_code.co_filename.startswith("<frozen importlib"):
            leave()
        at = at.f_back
    signal.default_int_handler(number, frame)


def leave() -> NoReturn:
    """End this process after an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left to do is short
    print("interrupted", file=sys.stderr)
    atexit._run_exitfuncs()  # temporary files
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Python would end by the signal itself where the interrupt has come through an exec().
    os._exit(STATUS)


@contextmanager
def interrupts_come_through() -> Iterator[None]:
    """Raise KeyboardInterrupt for an interrupt that has come out of TVM as a RuntimeError.

    TVM calls back into Python, and takes what is raised there for an error of its own.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came = False

    def note(*arguments: Any) -> None:
        nonlocal came
        came = True
        # What was found is kept, also where the shell would end inside an import.
        (signal.default_int_handler if handler is interrupt else handler)(*arguments)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except RuntimeError:
        if came:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, handler)
