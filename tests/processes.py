"""Processes and ports that tests start, and checks that they are gone."""

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
    """Whether the process still runs. A zombie does not count."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def children(process: int) -> list[int]:
    """The children of all threads of the process."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def freeze(process: int) -> None:
    """Stop the process and its children with a signal."""
    for each in [process, *children(process)]:
        os.kill(each, signal.SIGSTOP)


def is_free(port: int) -> bool:
    """Whether no process listens on this port of the loopback interface."""
    with socket.socket() as probe:
        # Without this option, closed connections block the port for two minutes.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def python(program: str, *arguments: object) -> list[str]:
    """The command that runs a program in a Python process without torch.

    TVM would load torch if it is installed, which takes seconds.
    """
    hide = "import sys\nsys.modules['torch'] = None\n"
    return [sys.executable, "-c", hide + program, *map(str, arguments)]


def soon(condition: Callable[[], bool]) -> bool:
    """Whether the condition becomes true within five minutes, which even a busy machine keeps."""
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def tvm_service(module: str, *arguments: str) -> Iterator[int]:
    """A program of TVM (``rpc_server``, ``rpc_tracker``) on the loopback interface; its port."""
    program = f"import runpy\nrunpy.run_module('tvm.exec.{module}', run_name='__main__')"
    command = python(program, "--host=127.0.0.1", *arguments)
    # It starts a process that outlives it, so both are ended as a process group.
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
