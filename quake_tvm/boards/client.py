"""Compiled models on a board that runs TVM's RPC server, with a time-out for every step.

A worker process (:mod:`model_session`) talks to the board. It is killed if the board does not
answer: TVM's client would wait for ever. Knows addresses and the time, no target.
"""

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import QuakeError
from ..runtime.description import Described, Inputs
from ..runtime.model import Model
from ..runtime.sealed_library import check_seal
from ..support import given
from ..support.worker import Died, Failed, TimedOut, Worker


class RemoteModel(Described):
    """A model on a board: attributes of :class:`quake_tvm.Model`, ``run`` and ``benchmark``."""

    def __init__(self, board: "Remote", number: int, description: str) -> None:
        super().__init__(description)
        self._board, self._number = board, number

    def run(self, *inputs: Inputs, **named: ArrayLike) -> list[np.ndarray]:
        """Run once on the board; otherwise like :meth:`quake_tvm.Model.run`."""
        ordered = self._ordered(inputs, named)
        return self._board._ask("running the model", "run", self._number, ordered)

    __call__ = run

    def benchmark(self, *inputs: Inputs, number: int = 10, repeat: int = 5) -> list[float]:
        """Time calls by the board's clock; otherwise like :meth:`quake_tvm.Model.benchmark`."""
        given.count(number, "number")
        given.count(repeat, "repeat")
        request = self._number, self._ordered(inputs), number, repeat
        return self._board._ask("timing the model", "benchmark", *request)


class Remote:
    """A connection to a board, until it is closed or its ``with`` block ends.

    If a step fails because the board is lost or does not answer, the connection is closed. Several
    threads may use a connection; their requests run one after another.

    Attributes
    ----------
    name : str
        The board's name in error messages.
    timeout : float
        Seconds that each step may take.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self.name, self.timeout = name, timeout
        self._turn = threading.Lock()
        # TVM loads twice as fast without its compiler.
        self._worker = Worker("quake_tvm.boards.model_session", TVM_USE_RUNTIME_LIB="1")

    def load(self, model: Model | str | Path) -> RemoteModel:
        """Upload a model to the board.

        Parameters
        ----------
        model : Model or path
            A model compiled for the board's target, or a library that
            :meth:`quake_tvm.Model.export` wrote.

        Returns
        -------
        RemoteModel

        Raises
        ------
        QuakeError
            If the model cannot be linked or read, is not for this board, or the board fails.
        """
        if isinstance(model, Model):
            with tempfile.TemporaryDirectory() as folder:
                number = self._load(model.export(Path(folder) / "model.so"))
            return RemoteModel(self, number, model.description)
        path = given.file(model, "the library", ".so")
        check_seal(path)
        number = self._load(path)
        return RemoteModel(self, number, self._ask("reading the model", "describe", number))

    def _load(self, path: Path) -> int:
        return self._ask("loading the model", "load", str(path))

    def use_threads(self, count: int) -> None:
        """Set the number of threads for models on the board, by default one for each core."""
        self._ask("setting the threads", "use_threads", given.count(count, "threads"))

    def close(self) -> None:
        """End the session. Calling it again has no effect."""
        self._worker.close()

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, doing: str, method: str, *arguments: object) -> Any:
        """The result of a method of the session. ``doing`` is a phrase for the error message."""
        if self._worker.closed:
            raise QuakeError(f"the connection to {self.name} is closed")
        try:
            with self._turn:  # one request at a time: there is one pipe
                return self._worker.ask(self.timeout, method, *arguments)
        except TimedOut:
            said = f"no answer from {self.name} in {self.timeout:g} s, {doing}"
            raise QuakeError(said) from None
        except Died as error:
            why = f": {error}" if str(error) else ""
            raise QuakeError(f"lost {self.name}, {doing}{why}") from None
        except Failed as error:
            raise QuakeError(f"{self.name} failed, {doing}: {error}") from None


def connect(
    address: str | None = None,
    *,
    tracker: str | None = None,
    key: str | None = None,
    timeout: float = 60.0,
) -> Remote:
    """Connect to a board that runs TVM's RPC server.

    Parameters
    ----------
    address : str, optional
        ``"host:port"`` of the board. Otherwise give tracker and key.
    tracker, key : str, optional
        ``"host:port"`` of a tracker, and the key under which it lists the boards.
    timeout : float
        Seconds that each step may take, at most a day: connecting, loading, running, timing.

    Returns
    -------
    Remote

    Raises
    ------
    QuakeError
        If there is no such board or tracker, or it does not answer in time.

    Examples
    --------
    >>> with quake_tvm.connect("192.168.1.7:9090") as board:
    ...     outputs = board.load(model).run(inputs)
    """
    given.seconds(timeout, "timeout")
    where: tuple[object, ...]
    if address is not None and tracker is None and key is None:
        name, method, where = f"the board at {address}", "connect", parse(address)
    elif address is None and tracker is not None and key is not None:
        name, method, where = f"the tracker at {tracker}", "request", (*parse(tracker), key)
    else:
        raise QuakeError("give the address of a board, or that of a tracker and a key")
    remote = Remote(name, timeout)
    try:
        remote._ask("connecting", method, *where)
    except QuakeError:
        remote.close()
        raise
    return remote


def parse(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise QuakeError(f"an address is HOST:PORT, not {address!r}")
    return host.strip("[]"), int(port)
