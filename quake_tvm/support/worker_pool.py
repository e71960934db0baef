"""Workers that run the same module, each on one item at a time. Knows no work."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import Empty, SimpleQueue
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
        """

        def attempt(item: Item) -> Result | WorkerError:
            try:
                worker = self._idle.get_nowait()
            except Empty:
                worker = Worker(self._module, patient=True)
            try:
                return work(worker, item)
            except WorkerError as error:
                return error
            finally:
                if not worker.closed:
                    self._idle.put(worker)

        executor = ThreadPoolExecutor(self._count)
        try:
            futures = {executor.submit(attempt, item): n for n, item in enumerate(items)}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            executor.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End the workers. Calling it again has no effect."""
        while not self._idle.empty():
            self._idle.get().close()
