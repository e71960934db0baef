"""An interrupt while a tune runs is KeyboardInterrupt, wherever it comes."""

import os
import signal

import pytest

from quake_tvm.cli import start
from quake_tvm.tuning.interrupts import interrupts


def test_inside_an_import():
    """The shell would end there, and what was found would be lost."""
    before = signal.signal(signal.SIGINT, start.interrupt)
    importing = compile("kill(pid, number)", "<frozen importlib._bootstrap>", "exec")
    try:
        with pytest.raises(KeyboardInterrupt), interrupts():
            exec(importing, {"kill": os.kill, "pid": os.getpid(), "number": signal.SIGINT})
    finally:
        signal.signal(signal.SIGINT, before)
