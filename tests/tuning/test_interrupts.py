"""Ctrl-C reaches whoever waits for it, from inside of TVM as well."""

import os
import signal
import threading

import pytest
import tvm_ffi

from quake_tvm.tuning.interrupts import interrupts


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_in_the_middle_of_tvm():
    called_back = tvm_ffi.convert(interrupt)
    with pytest.raises(KeyboardInterrupt), interrupts():
        called_back()
    with pytest.raises(KeyboardInterrupt), interrupts(), interrupts():
        called_back()


def test_outside_of_tvm():
    with pytest.raises(KeyboardInterrupt), interrupts():
        interrupt()


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="why"), interrupts():
        raise RuntimeError("why")


def test_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_what_the_user_ignores_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts():
            interrupt()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_no_signals():
    done = []

    def work():
        with interrupts():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
