"""Workers that run the same module, each on one item at a time. Knows no work."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from queue import Empty, SimpleQueue
from threading import Event
from typing import TypeVar

from .worker import Worker, WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Workers that are started when needed, and replaced when lost.

    Parameters
    ----------
    module : str
        The module that they run.
    count : int
        The most workers.
    """

    def __init__(self, module: str, count: int) -> None:
        self._module, self._count = module, count
        self._idle: SimpleQueue[Worker] = SimpleQueue()

    def each(
        self, work: Callable[[Worker, Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result | WorkerError]]:
        """Yield each item's index and result, or error, in the order in which they finish.

        Parameters
        ----------
        work : callable
            (worker, item) to result.
        items : sequence

        Notes
        -----
        If the caller stops before the end, the workers that are at work are killed.
        """
        busy: set[Worker] = set()
        left = Event()

        def attempt(item: Item) -> Result | WorkerError:
            try:
                worker = self._idle.get_nowait()
            except Empty:
                worker = Worker(self._module, patient=True)
            busy.add(worker)
            try:
                return work(worker, item)
            except WorkerError as error:
                return error
            finally:
                busy.discard(worker)
                if left.is_set():  # it may have been killed
                    worker.close()
                elif not worker.closed:
                    self._idle.put(worker)

        executor = ThreadPoolExecutor(self._count)
        futures = {executor.submit(attempt, item): n for n, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            left.set()
            executor.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in futures):  # nobody wants the results
                for worker in tuple(busy):
                    worker.kill()
                wait(futures, timeout=0.1)
            executor.shutdown()

    def close(self) -> None:
        """End the workers. Calling it again has no effect."""
        while not self._idle.empty():
            self._idle.get().close()
