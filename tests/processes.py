"""Processes and ports that tests start, and whether they are gone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def running(process: int) -> bool:
    """Whether it is there, and not only its exit status."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def children(process: int) -> list[int]:
    """Of all its threads."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def freeze(process: int) -> None:
    """Stop it where it is, and its children."""
    for each in [process, *children(process)]:
        os.kill(each, signal.SIGSTOP)


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback."""
    with socket.socket() as probe:
        # Without this, connections that have ended count for two minutes.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def soon(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def tvm_service(module: str, *arguments: str) -> Iterator[int]:
    """One of TVM's own programs (``rpc_server``, ``rpc_tracker``) on the loopback; its port."""
    command = [sys.executable, "-m", f"tvm.exec.{module}", "--host=127.0.0.1", *arguments]
    # It has a process do the work that outlives it: a group to be ended together.
    process = subprocess.Popen(
        [*command, "--port=20000", "--port-end=30000"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        bound = next((line for line in process.stderr if "bind to" in line), None)
        assert bound, "it does not start"
        yield int(bound.rpartition(":")[2])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
