"""A process for work that may hang, crash or eat memory: killed at its deadline.

A :class:`Worker` is this end of it, a module whose last line calls :func:`serve` the other. The
process, and whatever it has started, ends with the one that has started it, even if that is killed.
Knows no work.
"""

import fcntl
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .scratch import Scratch

# Seconds in which a worker that is done is expected to end by itself.
FAREWELL = 2.0


class WorkerError(Exception):
    """Why there is no result, in a line."""


class Failed(WorkerError):
    """The work went wrong; the worker goes on."""


class TimedOut(WorkerError):
    """No answer in time: the worker is no more."""


class Died(WorkerError):
    """The worker ended in the middle; no reason is given if it did so by itself."""


class Worker:
    """A process that answers one request after the other.

    Parameters
    ----------
    module : str
        What it runs.
    **environment : str
        Added to this process's.

    Attributes
    ----------
    process : subprocess.Popen
    """

    def __init__(self, module: str, **environment: str) -> None:
        # Its own temporary files go with it, however it ends.
        self._folder = Scratch()
        self._errors = Path(self._folder.name, "errors")
        self._pipe, theirs = Pipe()
        with theirs, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                env={**os.environ, "TMPDIR": self._folder.name, **environment},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,  # ends with this process, and the worker with it
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # so that what it starts can be ended with it
            )

    @property
    def closed(self) -> bool:
        """Whether there is no worker any more."""
        return self._pipe.closed

    def ask(self, seconds: float, method: str, *arguments: object) -> Any:
        """What a method of the worker's gives.

        Parameters
        ----------
        seconds : float
            Until it is killed.
        method : str
        *arguments
            Pickled, as the result.

        Raises
        ------
        Failed
            If the method raises.
        TimedOut, Died
            If there is no answer; the worker is closed.
        """
        if self.closed:
            raise Died("ended before")
        try:
            self._pipe.send((method, arguments))
            if not self._pipe.poll(seconds):
                self.kill()
                self.close()
                raise TimedOut(f"no answer in {seconds:g} s")
            well, answer = self._pipe.recv()
        except (EOFError, OSError):
            reason = self._reason()
            self.close()
            raise Died(reason) from None
        if not well:
            raise Failed(answer)
        return answer

    def kill(self) -> None:
        """End it and what it has started, at once; what waits for its answer is told."""
        if not self.closed:
            self._kill()

    def close(self) -> None:
        """Let it end by itself, or else kill it; again is harmless."""
        if self.closed:
            return
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(FAREWELL)
        self._kill()  # what it has started may be left
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._folder.cleanup()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _reason(self) -> str:
        status = self.process.wait()
        if status < 0:
            return f"crashed with {signal.Signals(-status).name}"
        lines = self._errors.read_text(errors="replace").splitlines()
        return (lines or [f"ended with status {status}"])[-1] if status else ""


def reason(error: Exception) -> str:
    """TVM's last line says what went wrong, after the condition that it has checked."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rpartition(" is false: ")[2] if lines else type(error).__name__


def serve(session: object, explain: Callable[[Exception], str] = reason) -> None:
    """Be the other end: answer with the session's methods until this one closes.

    Parameters
    ----------
    session : object
    explain : callable
        What to say of an exception.
    """
    _end_with_parent()
    pipe = Connection(int(sys.argv[1]))
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, getattr(session, method)(*arguments)
        except Exception as error:
            answer = False, explain(error)
        pipe.send(answer)


def limit_memory() -> None:
    """Let this process and what it starts have half of the machine's memory each, and no more."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    resource.setrlimit(resource.RLIMIT_DATA, (half, half))


def _end_with_parent() -> None:
    """Have the kernel end this group of processes when nobody holds its standard input any more.

    It does so with SIGIO, whatever they are at, compiled code that never returns included.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # it has been too late for a signal
        sys.exit()
