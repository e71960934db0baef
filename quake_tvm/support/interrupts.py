"""Ctrl-C: one line and status 130 in the shell; a KeyboardInterrupt elsewhere.

Imports nothing of this library: an interrupt may come while that loads.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

STATUS = 128 + signal.SIGINT


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; inside an import, where C++ modules may abort(), end the process."""
    at = frame
    while at is not None:
        if at.f_code.co_filename.startswith("<frozen importlib"):
            leave()
        at = at.f_back
    signal.default_int_handler(number, frame)


def leave() -> NoReturn:
    """End this process after an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the remaining work is short
    print("interrupted", file=sys.stderr)
    atexit._run_exitfuncs()  # temporary files
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Python would end by the signal itself if the interrupt came through an exec().
    os._exit(STATUS)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Let the import of TVM end before a KeyboardInterrupt: half of TVM cannot be imported again.

    A handler that the program has set is not replaced.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came = []
    signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


@contextmanager
def interrupts_come_through() -> Iterator[Callable[[], None]]:
    """Raise KeyboardInterrupt for an interrupt that TVM turned into a RuntimeError.

    TVM calls back into Python, and treats an exception raised there as an error of its own. Whoever
    takes such an error for that of a candidate loses the interrupt. What is yielded raises
    KeyboardInterrupt if one came.
    """
    came = False

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield check
        return

    def note(*arguments: Any) -> None:
        nonlocal came
        came = True
        # Raise instead of ending the process inside an import, so that results so far are kept.
        (signal.default_int_handler if handler is interrupt else handler)(*arguments)

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    except RuntimeError:
        if came:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, handler)
