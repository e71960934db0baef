"""Where ``quake-tvm`` begins, and where Ctrl-C ends it: in one line, with status 130.

Imports nothing of this library before it is asked to: an interrupt may come while that loads.
"""

import atexit
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Entry point of ``quake-tvm``."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        from .app import main as shell

        shell()
    except KeyboardInterrupt:
        leave()
    finally:  # all is done: an interrupt would only change the status
        signal.signal(signal.SIGINT, signal.SIG_IGN)


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
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
