"""Kernels timed on emulated boards behind a tracker. Boards join, hang and die meanwhile."""

import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
from tvm import rpc

from quake_tvm import QuakeError
from quake_tvm.emulation.board import Board
from quake_tvm.machines.targets import target
from quake_tvm.support.worker import Died
from quake_tvm.tuning import stopwatch
from quake_tvm.tuning.board_runner import BoardRunner
from tests.processes import children, freeze, python, running, soon, tvm_service
from tests.tuning.kernels import BAD, calling, plain, product

ROOT = Path(__file__).parents[2]
# The time limit of a step in seconds: enough for an emulated board on a busy machine, and short if
# one hangs.
TIMEOUT = 20.0


@pytest.fixture(scope="module")
def lasting(pi, tracker):
    """A board that all tests leave running."""
    with Board(pi, tracker, "pi") as board:
        yield board


@pytest.fixture(scope="module")
def runner(pi, tracker, lasting):
    """A runner with this board."""
    before = set(children(os.getpid()))
    runner = BoardRunner(pi, tracker, "pi", TIMEOUT)
    yield runner
    runner.close()
    runner.close()
    assert set(children(os.getpid())) == before


def board(started, pi, tracker, key):
    return started.enter_context(Board(pi, tracker, key))


def hire(started, on, tracker, key):
    runner = BoardRunner(on, tracker, key, TIMEOUT)
    started.callback(runner.close)
    return runner


def measure(runner, *kernels):
    found = dict(runner.measure(kernels))
    return [found[n] for n in range(len(kernels))]


def test_costs_bits_and_faults(runner, pi):
    names = ["abort", "unknown", "growing"]
    good = [product(64, pi), plain(64), plain(192)]
    small, same, large, *failed = measure(runner, *good, *(BAD[name][0] for name in names))
    assert not small.error + same.error + large.error
    assert small.digest == same.digest != large.digest
    assert 0 < same.cost < large.cost
    says = ["3 boards in a row are lost with it", *(BAD[name][1] for name in names[1:])]
    for timing, why in zip(failed, says, strict=True):
        assert timing.cost is None
        assert re.search(why, timing.error), timing.error


def test_turns_though_the_first_board_is_lost(runner, monkeypatch):
    turns, lost = stopwatch.turns, []

    def lose_the_first(*arguments):
        if not lost:
            lost.append(arguments)
            raise Died("")
        return turns(*arguments)

    monkeypatch.setattr(stopwatch, "turns", lose_the_first)
    found = runner.compare([plain(64), BAD["growing"][0], plain(192)], 3)
    assert lost
    assert [len(figures) for figures in found] == [3, 0, 3]
    assert min(found[0]) < min(found[2])


def test_a_batch_that_is_given_up(runner):
    timings = runner.measure([calling("usleep", 1000), *[plain(64)] * 3])
    next(timings)
    timings.close()
    (timing,) = measure(runner, plain(64))
    assert not timing.error


def test_one_that_joins_takes_part_and_both_are_at_work_at_once(runner, lasting, pi, tracker):
    together, over = threading.Event(), threading.Event()

    def watch():
        while not over.wait(0.02):
            if all(children(each.process.pid) for each in (lasting, joined)):
                together.set()

    with Board(pi, tracker, "pi") as joined:
        watching = threading.Thread(target=watch)
        watching.start()
        try:
            for _ in range(8):  # until the runner finds the second board
                assert not any(t.error for t in measure(runner, *[calling("usleep", 40_000)] * 6))
                if together.is_set():
                    break
        finally:
            over.set()
            watching.join()
    assert together.is_set()


def test_boards_that_die_and_hang_in_the_middle(started, pi, tracker, monkeypatch):
    boards = [board(started, pi, tracker, "frail") for _ in range(3)]
    runner = hire(started, pi, tracker, "frail")
    # Each takes a quarter of a second, so that all three boards are at work.
    kernels = [calling("usleep", 40_000)] * 12
    found = {}
    for n, timing in runner.measure(kernels):
        found[n] = timing
        if len(found) == 3:
            assert all(each.process.poll() is None for each in boards)
            boards[0].process.kill()
            freeze(boards[1].process.pid)
    assert sorted(found) == list(range(len(kernels)))
    assert not {timing.error for timing in found.values()} - {""}
    assert len({timing.digest for timing in found.values()}) == 1
    boards[2].process.kill()
    monkeypatch.setattr(runner, "_patience", 2.0)
    with pytest.raises(QuakeError, match=r"none of the boards 'frail' .* for 2 s: start one"):
        list(runner.measure([plain(64)] * 3))


def test_no_board(pi, tracker):
    with pytest.raises(QuakeError, match=r"cannot measure on boards 'none' of the .*: the tracker"):
        BoardRunner(pi, tracker, "none", TIMEOUT)
    with pytest.raises(QuakeError, match="refused"):
        BoardRunner(pi, ("127.0.0.1", 1), "none", TIMEOUT)


OWNER = """
import sys
from quake_tvm.machines.targets import target
from quake_tvm.tuning import stopwatch
from quake_tvm.tuning.board_runner import BoardRunner
from tests.tuning.kernels import calling, plain

runner = BoardRunner(target("raspberry-pi-4"), ("127.0.0.1", int(sys.argv[1])), "owned", 30.0)
list(runner.measure([plain(64)] * 2))
print("ready", flush=True)
list(runner.measure([calling("sleep", 1000)] * 2))
"""


def test_nothing_is_left_when_its_owner_is_killed(started, pi, tracker):
    owned = board(started, pi, tracker, "owned")
    command = python(OWNER, tracker[1])
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "ready\n"
        workers = children(owner.pid)
        assert len(workers) >= 3  # one watches, one has the board, one compiles
        assert soon(lambda: children(owned.process.pid))
        owner.kill()
    assert soon(lambda: not any(map(running, workers)))


def test_tvms_own_server(started, tracker):
    pytest.importorskip("psutil", reason="TVM's server needs it: pip install psutil")
    there = f"--tracker={tracker[0]}:{tracker[1]}"
    with tvm_service("rpc_server", there, "--key=tvm"):
        assert soon(lambda: "server:tvm" in rpc.connect_tracker(*tracker).text_summary())
        runner = hire(started, target(), tracker, "tvm")
        small, large = measure(runner, product(64), product(512))
        assert 0 < small.cost < large.cost
        runner.close()
