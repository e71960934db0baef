"""The entry point of ``quake-tvm``: it handles Ctrl-C before anything else is loaded."""

import signal

from ..support.interrupts import interrupt, leave


def main() -> None:
    """Entry point of ``quake-tvm``."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        from .app import main as shell

        shell()
    except KeyboardInterrupt:
        leave()
    finally:  # the work is done: an interrupt would only change the exit status
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
