"""Ctrl-C in the middle of TVM, which calls back into Python and takes what is raised there for an
error of its own."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..cli.start import interrupt


@contextmanager
def interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for an interrupt that has come out of TVM as a RuntimeError."""
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
