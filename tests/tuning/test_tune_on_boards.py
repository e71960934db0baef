"""A whole tune over a tracker: boards die, hang and join, and finished trials are kept."""

import json
from collections import Counter

import pytest

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.emulation.board import Board
from quake_tvm.schedules.records.files import read
from quake_tvm.tuning import tune as tune_module
from quake_tvm.tuning.board_runner import BoardRunner
from quake_tvm.tuning.journal import Journal
from tests.processes import freeze
from tests.shell import quake

FOLDER = "cortex-a72"
# The time limit of a step in seconds: enough for an emulated board on a busy machine, and short if
# one hangs.
TIMEOUT = 20.0
# The number of kernels in the tiny model.
KERNELS = 2


def tune(model, folder, tracker, key, progress, **options):
    there = {"tracker": tracker, "key": key, "timeout": TIMEOUT, "cost_model": "random"}
    return quake_tvm.tune(
        model, "raspberry-pi-4", records=folder, progress=progress, **there | options
    )


def join(started, pi, tracker, key):
    return started.enter_context(Board(pi, tracker, key))


def trials(folder):
    return Journal(folder / FOLDER).trials()


def records(folder):
    paths = (folder / FOLDER).glob("*.jsonl")
    return {record.key.operator: record for path in paths for record in read(path)}


def check(folder, state):
    """Every trial is stored once without an error, and each tuned task has its record."""
    kept = trials(folder)
    assert len(kept) == KERNELS + state.trials
    assert set(Counter((t.kernel, t.candidate) for t in kept).values()) == {1}
    assert all(t.timing.cost > 0 and t.timing.digest and not t.timing.error for t in kept)
    assert state.failed == 0
    assert {work.task.key.operator for work in state.works} == {"matmul", "softmax"}
    assert all(work.finished == "all tried" and work.rule > 0 for work in state.works)
    found = records(folder)
    assert {work.task.key.operator for work in state.works} == set(found)
    assert {record.measured for record in found.values()} == {"board"}


def test_boards_die_and_hang_and_join(few, started, tiny, pi, tracker, tmp_path):
    """None of the three boards lasts: the first is killed, the second hangs, and the third is
    killed when a fourth has joined."""
    boards = [join(started, pi, tracker, "three") for _ in range(3)]
    told = []

    def progress(state):
        if state.trials == len(told):
            return
        told.append(state.trials)
        assert len(trials(tmp_path)) == KERNELS + state.trials
        if len(told) == 2:
            boards[0].process.kill()
        elif len(told) == 4:
            freeze(boards[1].process.pid)
        elif len(told) == 6:
            boards.append(join(started, pi, tracker, "three"))
            boards[2].process.kill()

    state = tune(tiny, tmp_path, tracker, "three", progress)
    assert state.stopped == "nothing left to try"
    assert told == list(range(1, state.trials + 1))
    assert len(boards) == 4
    check(tmp_path, state)
    built = quake_tvm.compile(tiny, pi, records=tmp_path)
    assert set(built.report.records.values()) == {"record, same shape"}


def test_no_board_any_more_and_resumed_on_another(
    few, started, tiny, pi, tracker, tmp_path, monkeypatch
):
    boards = [join(started, pi, tracker, "two") for _ in range(2)]
    told, runners = [], []

    def hire(*arguments):
        runners.append(BoardRunner(*arguments))
        return runners[-1]

    def progress(state):
        told.append(state.trials)
        if state.trials == 3:
            for board in boards:
                board.process.kill()
            runners[0]._patience = 2.0

    with monkeypatch.context() as noted:
        noted.setattr(tune_module, "BoardRunner", hire)
        with pytest.raises(QuakeError, match=r"^none of the boards 'two' .*: start one$"):
            tune(tiny, tmp_path, tracker, "two", progress)
    before = trials(tmp_path)
    assert len(before) == KERNELS + told[-1] >= KERNELS + 3
    join(started, pi, tracker, "two")
    state = tune(tiny, tmp_path, tracker, "two", lambda _: None, resume=True)
    assert trials(tmp_path)[: len(before)] == before
    check(tmp_path, state)


def test_in_the_shell(started, tiny, pi, tracker, tmp_path):
    join(started, pi, tracker, "shell")
    there = "--tracker", f"{tracker[0]}:{tracker[1]}", "--records", tmp_path
    command = "tune", tiny, "-t", "raspberry-pi-4", *there, "--cost-model", "random"
    done = quake(*command, "--key", "shell", "--timeout", 20, "--ops", "softmax", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["stopped"] == "nothing left to try"
    assert told["trials"] + KERNELS == len(trials(tmp_path))
    assert records(tmp_path)["softmax"].measured == "board"
    done = quake("compile", tiny, "-t", "raspberry-pi-4", "--records", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    softmax = [site for site in json.loads(done.stdout)["sites"] if site["operator"] == "softmax"]
    assert [site["record"] for site in softmax] == ["record, same shape"]
    done = quake(*command, "--key", "nobody")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: cannot measure on boards 'nobody'")
    assert "Traceback" not in done.stderr
