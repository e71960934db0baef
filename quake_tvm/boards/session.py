"""A session with a board over TVM's RPC, in a worker process because TVM's client has no time-out.

Knows boards and trackers, and TVM's runtime only: the compiler is not loaded.
"""

import os
import socket
from pathlib import Path
from typing import Any

import tvm_ffi
from tvm import rpc

from ..support import worker


class Refused(Exception):
    """An error that the user can correct, with a message of one line."""


class BoardSession:
    """At most one connection to a board."""

    def __init__(self) -> None:
        self._session: Any = None  # TVM's session, after connecting

    def connect(self, host: str, port: int) -> None:
        """Connect to a board."""
        self._session = rpc.connect(host, port)

    def boards(self, host: str, port: int, key: str) -> int:
        """The number of boards that a tracker lists under the key, free or not."""
        names = self._names(_tracker(host, port))
        if key not in names:
            known = f"those it has: {', '.join(sorted(set(names)))}" if names else "it has none"
            raise Refused(f"the tracker has no board with the key {key!r}; {known}")
        return names.count(key)

    def request(self, host: str, port: int, key: str, seconds: int = 0) -> None:
        """Connect to the next free board of a tracker.

        Parameters
        ----------
        host, port, key
            The tracker's address, and the key of its boards.
        seconds : int
            The board ends the session after this time, even during a step; 0 means never.
        """
        self.boards(host, port, key)
        self._session = _tracker(host, port).request(key, session_timeout=seconds)

    def use_threads(self, count: int) -> None:
        """Set the number of threads of the board's runtime, on the big cores first."""
        self._session.get_function("runtime.config_threadpool")(1, count)

    def _upload(self, path: str, name: str) -> tvm_ffi.Module:
        self._session.upload(bytearray(Path(path).read_bytes()), name)
        try:
            return self._session.load_module(name)
        except RuntimeError as error:
            if _is_lost(error):
                raise
            reason = worker.reason(error)
            raise Refused(f"is the library for this board's CPU? {reason}") from None

    @staticmethod
    def _names(tracker: rpc.TrackerSession) -> list[str]:
        servers = [info["key"] for info in tracker.summary()["server_info"]]
        return [name.removeprefix("server:") for name in servers]


def explain(error: Exception) -> str:
    """The error as one line. Ends this process if the board is lost."""
    if _is_lost(error):
        os._exit(0)  # a regular exit would wait for the board again
    return worker.reason(error)


def _is_lost(error: Exception) -> bool:
    return any(sign in str(error) for sign in ("SockChannel", "RPCCode::"))


def _tracker(host: str, port: int) -> rpc.TrackerSession:
    socket.create_connection((host, port)).close()  # TVM would retry for a minute
    return rpc.connect_tracker(host, port)
