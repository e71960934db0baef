"""Runs a function in a forked child, so that a crash or a hang is one more result.

The parent has imported the slow modules and has run no kernel: TVM's threads do not survive a fork.
"""

import os
import selectors
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# Longer than any of these graphs takes, even on a busy machine.
DEADLINE = 120.0


@dataclass
class Ended:
    """The output of a child: lines of text, and how it died if it did."""

    item: Any
    lines: list[str]
    death: str


@dataclass
class _Child:
    item: Any
    pid: int
    out: Any
    deadline: float
    text: bytes = b""


def in_children(
    work: Callable[[Any], Iterable[str]],
    items: Iterable[Any],
    jobs: int = 1,
    deadline: float = DEADLINE,
) -> Iterator[Ended]:
    """Run ``work(item)`` for each item in a child of its own, ``jobs`` at a time.

    Parameters
    ----------
    work : callable
        Yields the lines that the child returns.
    deadline : float
        Seconds after which a child is killed.
    """
    items = iter(items)
    running: list[_Child] = []
    selector = selectors.DefaultSelector()
    left = True
    try:
        while left or running:
            while left and len(running) < jobs:
                try:
                    child = _start(work, next(items), deadline)
                except StopIteration:
                    left = False
                    break
                running.append(child)
                selector.register(child.out, selectors.EVENT_READ, child)
            for key, _ in selector.select(timeout=0.5):
                child = key.data
                chunk = os.read(child.out.fileno(), 65536)
                child.text += chunk
                if not chunk:
                    selector.unregister(child.out)
                    running.remove(child)
                    yield _ended(child)
            for child in running:
                if time.monotonic() > child.deadline:
                    os.kill(child.pid, signal.SIGKILL)  # its pipe closes, the loop above ends it
                    child.deadline = float("inf")
                    child.text += b"\nTIMEOUT\n"
    finally:
        for child in running:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            child.out.close()


def _start(work: Callable[[Any], Iterable[str]], item: Any, deadline: float) -> _Child:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            errors = tempfile.TemporaryFile()  # noqa: SIM115
            os.dup2(errors.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            for line in work(item):
                os.write(theirs, line.encode() + b"\n")
            code = 0
        except BaseException:
            os.write(theirs, b"FAULT " + traceback.format_exc()[-1500:].encode() + b"\n")
        finally:
            os._exit(code)
    os.close(theirs)
    return _Child(item, pid, os.fdopen(ours, "rb"), time.monotonic() + deadline)


def _ended(child: _Child) -> Ended:
    child.out.close()
    _, status = os.waitpid(child.pid, 0)
    lines = child.text.decode(errors="replace").splitlines()
    if "TIMEOUT" in lines:
        return Ended(child.item, lines, "no end within the deadline")
    if os.WIFSIGNALED(status):
        return Ended(child.item, lines, signal.Signals(os.WTERMSIG(status)).name)
    if os.WEXITSTATUS(status):
        return Ended(child.item, lines, "\n".join(lines))
    return Ended(child.item, lines, "")
