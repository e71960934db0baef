"""How long a kernel is timed, and its deadlines; the same here and on boards."""

import statistics
from collections.abc import Sequence

from ..support.worker import Worker
from .compilation import NAME, Library
from .runner import Timing

# A timing is the median of so many repeats of so many milliseconds each.
REPEATS, MILLISECONDS = 5, 8
# Seconds after which a slow kernel gets no further repeats.
ENOUGH = 1.0


def session(patient: bool = False, **environment: str) -> Worker:
    """A worker that runs kernels, on this machine until it is connected to a board.

    Parameters
    ----------
    patient : bool
        As for :class:`Worker`; for kernels that run on this machine.
    **environment : str
    """
    # TVM loads twice as fast without its compiler.
    module = "quake_tvm.tuning.kernel_session"
    return Worker(module, patient, TVM_USE_RUNTIME_LIB="1", **environment)


def timing(worker: Worker, library: Library, seconds: float) -> Timing:
    """Load a kernel, time it, unload it, and release the board.

    Parameters
    ----------
    worker : Worker
        As :func:`session` returns it.
    library : Library
    seconds : float
        The time limit of each step, in addition to the expected time of the kernel.

    Returns
    -------
    Timing

    Raises
    ------
    WorkerError
        If the kernel, the worker or the board fails.
    """
    try:
        number, call, digest = _load(worker, library, seconds)
        repeat = REPEATS if call * REPEATS < ENOUGH else max(1, int(ENOUGH / call))
        figures = _time(worker, number, call, repeat, seconds)
    finally:
        if not worker.closed:
            worker.ask(seconds, "leave")
    return Timing(statistics.median(figures), digest=digest)


def turns(
    worker: Worker, libraries: Sequence[Library | None], rounds: int, seconds: float
) -> list[list[float]]:
    """Load all kernels, time each once in every round, and release the board.

    Parameters
    ----------
    worker, seconds
        As for :func:`timing`.
    libraries : sequence of Library or None
        None gets an empty list.
    rounds : int

    Returns
    -------
    list of list of float
        Seconds per call, for each library one figure per round.

    Raises
    ------
    WorkerError
        As :func:`timing`.
    """
    loaded = {n: _load(worker, library, seconds) for n, library in enumerate(libraries) if library}
    figures: list[list[float]] = [[] for _ in libraries]
    for _ in range(rounds):
        for n, (number, call, _) in loaded.items():
            figures[n] += _time(worker, number, call, 1, seconds)
    worker.ask(seconds, "leave")
    return figures


def _load(worker: Worker, library: Library, seconds: float) -> tuple[int, float, str]:
    wants = library.signature
    parameters = wants.inputs, wants.outputs, wants.cold
    return worker.ask(seconds, "load", str(library.path), NAME, *parameters)


def _time(worker: Worker, number: int, call: float, repeat: int, seconds: float) -> list[float]:
    # A call to warm up, and repeats whose number of calls grows until they last long enough.
    needs = (3 + repeat) * max(call, 2 * MILLISECONDS / 1000)
    return worker.ask(seconds + needs, "time", number, repeat, MILLISECONDS)
