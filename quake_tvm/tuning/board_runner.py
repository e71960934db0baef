"""Compile kernels here and time them on all boards that a tracker lists, by their clocks."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, Queue, SimpleQueue

import tvm

from ..errors import QuakeError
from ..support.scratch import Scratch
from ..support.worker import WorkerError
from ..tvm_version import tir
from . import stopwatch
from .board_thread import PAUSE, SESSION, BoardThread, Job
from .compilation import Compiler, Library
from .runner import Timing

# Seconds between two queries for new boards.
PERIOD = 2.0
# After so many time-outs in which no board works, all boards are given up. By then a board that
# hung in a kernel has ended its session.
PATIENCE = SESSION + 1


class BoardRunner:
    """A :class:`Runner` on boards that may come and go.

    Parameters
    ----------
    target : tvm.target.Target
        The target of the boards.
    tracker : (str, int)
        Host and port of the tracker.
    key : str
        The key under which the tracker lists the boards.
    timeout : float
        Seconds for each step on a board: connecting, uploading and running once, timing.

    Raises
    ------
    QuakeError
        If there is no linker for the target, no such tracker, or no board under the key.
    """

    measured, unit = "board", "s"
    sees_threads = True

    def __init__(
        self,
        target: tvm.target.Target,
        tracker: tuple[str, int],
        key: str,
        timeout: float,
    ) -> None:
        self._where, self._timeout = (*tracker, key), timeout
        self._patience = PATIENCE * timeout
        self._name = f"boards {key!r} of the tracker at {tracker[0]}:{tracker[1]}"
        self._compiler = Compiler(target)
        self._jobs: Queue[Job | None] = Queue()
        self._threads: list[BoardThread] = []
        self._scout = stopwatch.session()
        try:
            self._employ(self._scout.ask(timeout, "boards", *self._where))
        except WorkerError as error:
            self._scout.close()
            raise QuakeError(f"cannot measure on {self._name}: {error}") from None
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._look_out, daemon=True)
        self._watch.start()

    @property
    def batch(self) -> int:
        """Enough kernels to keep every board and the compilers busy."""
        return max(16, 4 * len(self._threads))

    def measure(self, kernels: Sequence[tir.PrimFunc]) -> Iterator[tuple[int, Timing]]:
        """Measure on all boards at once, while others are compiled; as in :class:`Runner`."""
        with Scratch() as folder:
            yield from self._timings(self._compiler.compile(kernels, folder))

    def compare(self, kernels: Sequence[tir.PrimFunc], rounds: int) -> list[list[float]]:
        """Measure in turns on one board; as in :class:`Runner`."""
        with Scratch() as folder:
            libraries = dict(self._compiler.compile(kernels, folder))
            sound = {n for n, timing in self._timings(libraries.items()) if not timing.error}
            chosen = [
                library if n in sound and isinstance(library, Library) else None
                for n, library in sorted(libraries.items())
            ]
            return self._turns(chosen, rounds)

    def close(self) -> None:
        """End all threads and processes. Calling it again has no effect."""
        self._compiler.close()
        self._closing.set()
        self._scout.kill()
        self._watch.join()
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.join()

    def _turns(self, libraries: Sequence[Library | None], rounds: int) -> list[list[float]]:
        """Time the libraries in turns on the next free board, or on another one if it fails."""
        session = int(self._timeout * (SESSION + len(libraries))) + rounds * len(libraries)
        until = time.monotonic() + self._patience
        while True:
            worker = stopwatch.session()
            try:
                worker.ask(self._timeout, "request", *self._where, session)
                return stopwatch.turns(worker, libraries, rounds, self._timeout)
            except WorkerError as error:
                reason = str(error) or "the connection is lost"
            finally:
                worker.close()
            if time.monotonic() > until:
                raise QuakeError(f"kernels cannot be compared on {self._name}: {reason}")
            time.sleep(PAUSE)

    def _timings(
        self, libraries: Iterable[tuple[int, Library | str]]
    ) -> Iterator[tuple[int, Timing]]:
        done: SimpleQueue[tuple[int, Timing]] = SimpleQueue()
        waiting = 0
        try:
            for n, library in libraries:
                if isinstance(library, str):
                    yield n, Timing(None, library)
                else:
                    self._jobs.put(Job(n, library, done))
                    waiting += 1
                while not done.empty():  # results are yielded without waiting for the compiler
                    yield done.get()
                    waiting -= 1
            for _ in range(waiting):
                yield self._next(done)
        finally:
            with suppress(Empty):
                while True:
                    self._jobs.get_nowait()

    def _next(self, done: "SimpleQueue[tuple[int, Timing]]") -> tuple[int, Timing]:
        """The next result. Raises QuakeError if no board works for too long."""
        heard = time.monotonic()
        while time.monotonic() - heard < self._patience:
            with suppress(Empty):
                return done.get(timeout=PERIOD)
            if any(thread.measuring for thread in self._threads):
                heard = time.monotonic()
        what = f"none of the {self._name} is free and works for {self._patience:g} s"
        raise QuakeError(f"{what}: start one")

    def _employ(self, count: int) -> None:
        """Start threads until there is one for each board."""
        while len(self._threads) < count:
            self._threads.append(BoardThread(self._where, self._jobs, self._timeout))

    def _look_out(self) -> None:
        while not self._closing.wait(PERIOD):
            if self._scout.closed:
                self._scout = stopwatch.session()
            with suppress(WorkerError):
                self._employ(self._scout.ask(self._timeout, "boards", *self._where))
        self._scout.close()
