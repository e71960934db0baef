"""An interrupt is KeyboardInterrupt everywhere in a tune, and ends the shell inside an import."""

import contextlib
import os
import signal

import pytest

from quake_tvm.support.interrupts import interrupt, interrupts_come_through, interrupts_wait


@pytest.fixture(autouse=True)
def python_handles_interrupts():
    """Also where the tests run in the background of a shell, which ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_inside_an_import():
    """There the shell would end and the results would be lost."""
    before = signal.signal(signal.SIGINT, interrupt)
    importing = compile("kill(pid, number)", "<frozen importlib._bootstrap>", "exec")
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_come_through():
            exec(importing, {"kill": os.kill, "pid": os.getpid(), "number": signal.SIGINT})
    finally:
        signal.signal(signal.SIGINT, before)


def test_lost_in_an_error_of_a_candidate():
    with interrupts_come_through() as check:
        check()
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()


def test_during_an_import_of_the_library():
    """Half of TVM could not be imported again in this process."""
    ended = []

    def load():
        with interrupts_wait():
            os.kill(os.getpid(), signal.SIGINT)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        load()
    assert ended
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
