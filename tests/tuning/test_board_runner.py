"""Kernels timed on emulated boards behind a tracker, which come, hang and die in the middle."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from quake_tvm import QuakeError
from quake_tvm.emulation.board import Board
from quake_tvm.named_targets import target
from quake_tvm.tuning import board_runner
from quake_tvm.tuning.board_runner import BoardRunner
from tests.processes import children, running, soon, tvm_service
from tests.tuning.kernels import BAD, calling, plain, product

pytest.importorskip("tornado", reason="TVM's tracker needs tornado: pip install tornado")
pytest.importorskip("cloudpickle", reason="TVM's tracker needs it: pip install cloudpickle")

ROOT = Path(__file__).parents[2]
# Seconds for a step: enough for an emulated board, and soon over where one hangs.
TIMEOUT = 4.0


@pytest.fixture
def tracker():
    with tvm_service("rpc_tracker") as port:
        yield "127.0.0.1", port


@pytest.fixture
def started():
    """What a test starts, ended in reverse; its last look is for processes that are left."""
    before = set(children(os.getpid()))
    with ExitStack() as stack:
        yield stack
    assert soon(lambda: set(children(os.getpid())) <= before)


def hire(started, pi, tracker, timeout=TIMEOUT):
    runner = BoardRunner(pi, tracker, "pi", timeout)
    started.callback(runner.close)
    return runner


def board(started, pi, tracker):
    return started.enter_context(Board(pi, tracker, "pi"))


def stop(board):
    """The board and its session."""
    for process in [board.process.pid, *children(board.process.pid)]:
        os.kill(process, signal.SIGSTOP)


def measure(runner, *kernels):
    found = dict(runner.measure(kernels))
    return [found[n] for n in range(len(kernels))]


def test_costs_bits_and_faults(started, pi, tracker):
    board(started, pi, tracker)
    runner = hire(started, pi, tracker)
    names = ["abort", "missing", "unknown", "growing"]
    good = [product(64, pi), plain(64), plain(256)]
    small, same, large, *failed = measure(runner, *good, *(BAD[name][0] for name in names))
    assert not small.error + same.error + large.error
    assert small.digest == same.digest != large.digest
    assert 0 < same.cost < large.cost
    says = [*["3 boards in a row are lost with it"] * 2, *(BAD[name][1] for name in names[2:])]
    for timing, why in zip(failed, says, strict=True):
        assert timing.cost is None
        assert re.search(why, timing.error), timing.error
    turns = runner.compare([plain(64), calling("abort"), plain(256)], 3)
    assert [len(figures) for figures in turns] == [3, 0, 3]
    assert max(turns[0]) < min(turns[2])


def test_boards_that_die_and_hang_in_the_middle(started, pi, tracker):
    boards = [board(started, pi, tracker) for _ in range(3)]
    runner = hire(started, pi, tracker)
    # Each for a quarter of a second, so that all three are at work.
    kernels = [calling("usleep", 40_000)] * 18
    found = {}
    for n, timing in runner.measure(kernels):
        found[n] = timing
        if len(found) == 3:
            assert all(each.process.poll() is None for each in boards)
            boards[0].process.kill()
            stop(boards[1])
    assert sorted(found) == list(range(len(kernels)))
    assert not {timing.error for timing in found.values()} - {""}
    assert len({timing.digest for timing in found.values()}) == 1


def test_several_boards_are_at_work_at_once_and_one_that_joins_takes_part(started, pi, tracker):
    boards = [board(started, pi, tracker)]
    runner = hire(started, pi, tracker)
    together = threading.Event()
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            if len(boards) == 2 and all(children(each.process.pid) for each in boards):
                together.set()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for _ in range(8):  # until it is noticed
            timings = runner.measure([calling("usleep", 40_000)] * 6)
            next(timings)
            if len(boards) == 1:
                boards.append(board(started, pi, tracker))
            assert not any(timing.error for _, timing in timings)
            if together.is_set():
                break
    finally:
        over.set()
        watching.join()
    assert together.is_set()


def test_no_board(started, pi, tracker):
    with pytest.raises(QuakeError, match=r"cannot measure on boards 'pi' of the .*; it has none"):
        BoardRunner(pi, tracker, "pi")
    with pytest.raises(QuakeError, match="refused"):
        BoardRunner(pi, ("127.0.0.1", 1), "pi")


def test_no_board_any_more(started, pi, tracker, monkeypatch):
    monkeypatch.setattr(board_runner, "PATIENCE", 2)
    one, other = (board(started, pi, tracker) for _ in range(2))
    runner = hire(started, pi, tracker, timeout=3)
    one.process.kill()
    stop(other)
    with pytest.raises(QuakeError, match=r"none of the boards 'pi' .* for 6 s: start one"):
        list(runner.measure([plain(64)] * 3))
    board(started, pi, tracker)
    (timing,) = measure(runner, plain(64))
    assert not timing.error


def test_a_batch_that_is_given_up(started, pi, tracker):
    board(started, pi, tracker)
    runner = hire(started, pi, tracker)
    timings = runner.measure([calling("usleep", 1000), *[plain(64)] * 3])
    next(timings)
    timings.close()
    (timing,) = measure(runner, plain(64))
    assert not timing.error
    runner.close()


OWNER = """
import sys
from quake_tvm.named_targets import target
from quake_tvm.tuning import board_runner
from quake_tvm.tuning.board_runner import BoardRunner
from tests.tuning.kernels import calling, plain

runner = BoardRunner(target("raspberry-pi-4"), ("127.0.0.1", int(sys.argv[1])), "pi")
list(runner.measure([plain(64)] * 2))
print("ready", flush=True)
list(runner.measure([calling("sleep", 1000)] * 2))
"""


def test_nothing_is_left_when_its_owner_is_killed(started, pi, tracker):
    boards = [board(started, pi, tracker) for _ in range(2)]
    command = [sys.executable, "-c", OWNER, str(tracker[1])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "ready\n"
        workers = children(owner.pid)
        assert len(workers) >= 4  # one that looks out, one a board, and one that compiles
        assert soon(lambda: all(children(each.process.pid) for each in boards))
        owner.kill()
    assert soon(lambda: not any(map(running, workers)))


def test_tvms_own_server(started, tracker):
    pytest.importorskip("psutil", reason="TVM's server needs it: pip install psutil")
    native, there = target(), f"--tracker={tracker[0]}:{tracker[1]}"
    with tvm_service("rpc_server", there, "--key=pi"):
        assert soon(lambda: listed(native, tracker))
        runner = hire(started, native, tracker)
        small, large = measure(runner, product(64), product(512))
        assert 0 < small.cost < large.cost
        runner.close()


def listed(native, tracker):
    try:
        BoardRunner(native, tracker, "pi").close()
    except QuakeError:
        return False
    return True
