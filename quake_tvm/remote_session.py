"""The process at this end of a connection to a board, which can be killed whatever TVM waits for.

TVM's client knows no time-out. Run by :mod:`remote`, which sends seconds, the name of a method
of :class:`Session` and its arguments, and gets ``(True, result)`` or ``(False, why not)``. Knows
TVM's runtime only: the compiler is not loaded.
"""

import os
import signal
import socket
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from tvm import rpc, runtime
from tvm.runtime.vm import VirtualMachine

from .description import DESCRIPTION

# Seconds after the deadline at which this process ends even if nobody kills it.
GRACE = 5.0


class Refused(Exception):
    """What the user can put right, in a line."""


class Session:
    """A board's session, and the models in it, by number."""

    def __init__(self) -> None:
        self._session: rpc.RPCSession
        self._models: list[VirtualMachine] = []

    def connect(self, host: str, port: int) -> None:
        """Connect to a board."""
        self._session = rpc.connect(host, port)

    def request(self, host: str, port: int, key: str) -> None:
        """Connect to the next board that a tracker has free."""
        socket.create_connection((host, port)).close()  # TVM would try for a minute
        tracker = rpc.connect_tracker(host, port)
        servers = [info["key"] for info in tracker.summary()["server_info"]]
        keys = sorted({name.removeprefix("server:") for name in servers})
        if key not in keys:
            known = f"those it has: {', '.join(keys)}" if keys else "it has none"
            raise Refused(f"the tracker has no board with the key {key!r}; {known}")
        self._session = tracker.request(key)

    def use_threads(self, count: int) -> None:
        """Set how many threads the runtime there has, big cores first."""
        self._session.get_function("runtime.config_threadpool")(1, count)

    def load(self, path: str) -> int:
        """Upload a library."""
        name = f"model{len(self._models)}.so"
        self._session.upload(bytearray(Path(path).read_bytes()), name)
        try:
            module = self._session.load_module(name)
        except RuntimeError as error:
            if _is_lost(error):
                raise
            raise Refused(f"is the library for this board's CPU? {_reason(error)}") from None
        self._models.append(VirtualMachine(module, self._session.cpu(), memory_cfg="pooled"))
        return len(self._models) - 1

    def describe(self, model: int) -> str:
        """The description in a model that this library has compiled."""
        return str(self._models[model][DESCRIPTION]())

    def run(self, model: int, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Run once."""
        machine = self._set(model, arrays)
        machine.invoke_stateful("main")
        return _leaves(machine.get_outputs("main"))

    def benchmark(
        self, model: int, arrays: list[np.ndarray], number: int, repeat: int
    ) -> list[float]:
        """Seconds a call, one figure a repeat."""
        machine = self._set(model, arrays)
        timer = machine.time_evaluator(
            "invoke_stateful", self._session.cpu(), number=number, repeat=repeat
        )
        return list(timer("main").results)

    def _set(self, model: int, arrays: list[np.ndarray]) -> VirtualMachine:
        machine, device = self._models[model], self._session.cpu()
        machine.set_input("main", *(runtime.tensor(array, device) for array in arrays))
        return machine


def _leaves(outputs: Any) -> list[np.ndarray]:
    if isinstance(outputs, tuple):
        return [leaf for item in outputs for leaf in _leaves(item)]
    return [outputs.numpy()]


def _reason(error: Exception) -> str:
    """TVM's last line says what went wrong, after the condition that it has checked."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rpartition(" is false: ")[2] if lines else type(error).__name__


def _is_lost(error: Exception) -> bool:
    """Whether there is no board any more at the other end."""
    return any(sign in str(error) for sign in ("SockChannel", "RPCCode::"))


def main(handle: int) -> None:
    """Answer until the other end closes, or the board is lost."""
    pipe, session = Connection(handle), Session()
    while True:
        try:
            timeout, name, *arguments = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, timeout + GRACE)
        try:
            answer = True, getattr(session, name)(*arguments)
        except Exception as error:
            if _is_lost(error):
                os._exit(0)  # taking leave in order would be to wait for the board again
            answer = False, _reason(error)
        pipe.send(answer)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
