"""Where ``quake-tvm`` begins, and where Ctrl-C ends it: in one line, with status 130.

Imports nothing of this library before it is asked to: an interrupt may come while that loads.
"""

import atexit
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Entry point of ``quake-tvm``."""
    try:
        from .cli import main as shell
    except KeyboardInterrupt:
        leave()
    shell()


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
