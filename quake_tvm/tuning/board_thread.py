"""A thread that measures kernels, each on the next free board of a tracker.

Boards may hang or die. Then their kernels are measured on other boards. Knows no batch and no
compiler.
"""

import threading
from dataclasses import dataclass
from queue import Queue, SimpleQueue

from ..support.worker import Died, Failed, WorkerError
from . import stopwatch
from .compilation import Library
from .runner import Timing

# If so many boards in a row are lost with a kernel, the kernel is the cause.
STRIKES = 3
# Seconds until a board is requested again.
PAUSE = 1.0
# The length of a session in time-outs: then the board ends it, if it still can.
SESSION = 3


@dataclass
class Job:
    """A kernel to measure, its index, and the queue for its result."""

    place: int
    library: Library
    done: "SimpleQueue[tuple[int, Timing]]"
    lost: int = 0


class BoardThread(threading.Thread):
    """Measures jobs until it is stopped.

    Parameters
    ----------
    where : (str, int, str)
        Host and port of the tracker, and the boards' key.
    jobs : Queue of Job or None
        None wakes a thread, which then checks whether it was stopped.
    timeout : float
        Seconds for each step.

    Attributes
    ----------
    measuring : bool
        Whether the thread has a board at the moment.
    """

    def __init__(
        self, where: tuple[str, int, str], jobs: "Queue[Job | None]", timeout: float
    ) -> None:
        super().__init__(daemon=True)
        self._where, self._jobs, self._timeout = where, jobs, timeout
        self._worker = stopwatch.session()
        self._stopping = threading.Event()
        self.measuring = False
        self.start()

    def run(self) -> None:
        """Process one job after another."""
        while not self._stopping.is_set():
            job = self._jobs.get()
            if job is not None and not self._attempt(job):
                self._jobs.put(job)
        self._worker.close()

    def stop(self) -> None:
        """Stop the thread. Its current job is given up."""
        self._stopping.set()
        self._worker.kill()
        self._jobs.put(None)

    def _attempt(self, job: Job) -> bool:
        """Measure a job. Returns False if the job must be tried again."""
        if self._worker.closed:
            self._worker = stopwatch.session()
        if self._stopping.is_set():
            return False
        try:
            session = int(SESSION * self._timeout) + 1
            self._worker.ask(self._timeout, "request", *self._where, session)
        except WorkerError:
            self._stopping.wait(PAUSE)
            return False
        self.measuring = True
        try:
            timing = stopwatch.timing(self._worker, job.library, self._timeout)
        except Failed as error:
            timing = Timing(None, f"the kernel fails: {error}")
        except WorkerError as error:
            job.lost += 1
            if job.lost < STRIKES:
                return False
            how = "the connection is lost" if isinstance(error, Died) else str(error)
            timing = Timing(None, f"{STRIKES} boards in a row are lost with it: {how}")
        finally:
            self.measuring = False
        job.done.put((job.place, timing))
        return True
