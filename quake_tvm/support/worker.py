"""A process for work that may hang, crash or use too much memory. It is killed at its deadline.

A :class:`Worker` is the caller's end. The worker's end is a module whose last line calls
:func:`serve`. The worker process, and every process it started, ends with the caller's process,
even if that is killed. Knows no work.
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

# The module that runs a worker's module.
START = f"{__package__}.worker_start"
# Seconds that a worker has to end by itself after it is closed.
FAREWELL = 2.0
# A patient worker that gets no processor may take so many times its limit.
PATIENCE = 10
# Linux tells there how much processor time a process has had.
PROCESSES = Path("/proc")


class WorkerError(Exception):
    """The reason why there is no result, in one line."""


class Failed(WorkerError):
    """The method raised an error. The worker continues."""


class TimedOut(WorkerError):
    """There was no answer in time. The worker was killed."""


class Died(WorkerError):
    """The worker ended during a request. The message is empty if it ended without an error."""


class Worker:
    """A process that answers one request after another.

    Parameters
    ----------
    module : str
        The module that the process runs.
    patient : bool
        For work that this machine does by itself. A worker beyond its limit has more time, up to
        ``PATIENCE`` times the limit, as long as it has had less processor time than the limit:
        the machine is busy, and the worker does not hang. On Linux only.
    **environment : str
        Variables added to this process's environment.

    Attributes
    ----------
    process : subprocess.Popen
    """

    def __init__(self, module: str, patient: bool = False, **environment: str) -> None:
        self._patient = patient
        # The worker's temporary files are removed with it, however it ends.
        self._folder = Scratch()
        self._errors = Path(self._folder.name, "errors")
        self._pipe, theirs = Pipe()
        with theirs, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", START, module, str(theirs.fileno())],
                env={**os.environ, "TMPDIR": self._folder.name, **environment},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,  # closes when this process ends, which ends the worker
                stdout=subprocess.DEVNULL,
                stderr=errors,
                # so that the processes that it starts can be killed with it
                start_new_session=True,
            )

    @property
    def closed(self) -> bool:
        """Whether the worker has been closed."""
        return self._pipe.closed

    def ask(self, seconds: float, method: str, *arguments: object) -> Any:
        """The result of a method of the worker's session.

        Parameters
        ----------
        seconds : float
            The worker is killed if there is no answer within this time; see ``patient``.
        method : str
        *arguments
            Pickled; so is the result.

        Raises
        ------
        Failed
            If the method raises.
        TimedOut, Died
            If there is no answer. The worker is then closed.
        """
        if self.closed:
            raise Died("ended before")
        try:
            self._pipe.send((method, arguments))
            if not self._answers(seconds):
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

    def _answers(self, seconds: float) -> bool:
        if not self._patient or not PROCESSES.is_dir():
            return self._pipe.poll(seconds)
        before = self._processor_seconds()
        for _ in range(PATIENCE):
            if self._pipe.poll(seconds):
                return True
            if self._processor_seconds() - before >= seconds:
                return False
        return False

    def _processor_seconds(self) -> float:
        """The processor time of the process and of the processes that it has waited for."""
        stat = Path(PROCESSES, str(self.process.pid), "stat").read_text()
        # The second field, a name, may contain blanks and brackets.
        ticks = stat.rpartition(")")[2].split()[11:15]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """Kill the worker and the processes it started, at once. A waiting ``ask`` raises Died."""
        if not self.closed:
            self._kill()

    def close(self) -> None:
        """Let the worker end by itself, or kill it after a while. May be called again."""
        if self.closed:
            return
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(FAREWELL)
        self._kill()  # processes that it started may still run
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
    """The cause in an error of TVM: its last line, after the condition that was checked."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rpartition(" is false: ")[2] if lines else type(error).__name__


def serve(session: object, explain: Callable[[Exception], str] = reason) -> None:
    """Run the worker's end: answer requests with the session's methods until the caller closes.

    Parameters
    ----------
    session : object
    explain : callable
        Exception to the message that the caller gets.
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
    """Limit this process, and each process it starts, to half of the machine's memory."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    resource.setrlimit(resource.RLIMIT_DATA, (half, half))


def _end_with_parent() -> None:
    """Let the kernel end this process group when the caller no longer holds its standard input.

    The kernel sends SIGIO, which also ends compiled code that never returns.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # the input was closed before the signal was set up
        sys.exit()
