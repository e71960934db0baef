"""``quake-tvm tune``: its output, and what it keeps when it is interrupted or killed."""

import json
import random
import signal
import subprocess
import time
import warnings
from pathlib import Path

import pytest

from quake_tvm.machines.targets import target
from quake_tvm.schedules.records.record import Machine
from quake_tvm.tuning.journal import Journal
from tests.cli.test_app import model  # noqa: F401
from tests.processes import children, python, running, soon
from tests.shell import quake

ROOT = Path(__file__).parents[2]
# One small product with its GELU.
SMALL = "--shape", "x=4,8", "--ops", "matmul", "--cost-model", "random"
# The same with more candidates, so that it still runs when a busy machine gets to the interrupt.
LARGER = "--shape", "x=96,8", *SMALL[2:]
# More trials than there are candidates.
ENDLESS = "--trials", "100000"
# When a tune is killed: after so many new lines, and so many seconds more. While it starts, after
# its first line, and in the middle of its measurements.
PHASES = [(0, 0.0), (1, 0.0), (3, 0.5)]

# Reports each line once it is on the disk.
REPORTING = """
import sys
from pathlib import Path
from quake_tvm.cli import app
from quake_tvm.schedules.records import files as record_files

add, report = record_files._add, open(sys.argv.pop(1), "ab", buffering=0)

def reporting(file, line):
    add(file, line)
    report.write(line.strip() + b"\\n")

record_files._add = reporting
app.main()
"""


def start(report, *arguments):
    """A tune, in a process session of its own, that reports each line it has saved."""
    return subprocess.Popen(
        python(REPORTING, report, "tune", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )


def lines(*paths):
    return [line for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def saved(folder):
    """All lines in a folder of records."""
    return lines(*(folder / Machine.of(target()).folder).glob("*"))


def journal(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a line that was cut off is skipped with a warning
        return Journal(folder / Machine.of(target()).folder).trials()


def test_tune_then_compile(model, tmp_path):  # noqa: F811
    done = quake("tune", model, *SMALL, "--trials", 3, "-r", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["trials"], told["stopped"]) == (3, "the budget is used up")
    tried = {task["task"]: task["trials"] for task in told["tasks"]}
    assert tried == {"matmul 4x16x8": 3, "softmax 4x16": 0}
    assert len(journal(tmp_path)) == 5
    done = quake("tune", model, *SMALL, "--trials", 3, "-r", tmp_path, "--resume")
    assert done.returncode == 0, done.stderr
    assert "the budget is used up: kernels together" in done.stdout
    assert f"records: {tmp_path}" in done.stdout
    assert len(journal(tmp_path)) == 5
    done = quake("compile", model, "--shape", "x=4,8", "--records", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--trials", "0"), "trials must be a whole number from 1"),
        (("--ops", "relu"), "no kernel here is relu"),
        (("--plot", "curve.xyz"), "--plot"),
    ],
    ids=str,
)
def test_what_the_user_got_wrong(model, tmp_path, arguments, says):  # noqa: F811
    done = quake("tune", model, "--shape", "x=4,8", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not list(tmp_path.iterdir())


def test_plot_without_matplotlib(model, tmp_path):  # noqa: F811
    (tmp_path / "matplotlib.py").write_text("raise ImportError\n")
    done = quake("tune", model, "--plot", "curve.png", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        2,
        "error: --plot needs matplotlib: pip install matplotlib\n",
    )


def test_interrupt(model, tmp_path):  # noqa: F811
    report, folder = tmp_path / "report", tmp_path / "records"
    with start(report, model, *LARGER, *ENDLESS, "-r", folder) as process:
        assert soon(lambda: len(lines(report)) >= 5)
        started = children(process.pid)
        assert started
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=900)
    assert process.returncode == 128 + signal.SIGINT, errors
    assert errors == "interrupted: what was found is kept\n"
    assert out.count("interrupted: kernels together") == 1
    reported, kept = lines(report), saved(folder)
    assert set(reported) <= set(kept)
    assert len(kept) - len(reported) in (0, 1)  # the interrupt may come before a line is reported
    assert len(journal(folder)) >= 5
    assert soon(lambda: not any(map(running, started)))


def at_random(kills):
    return [(random.randint(0, 5), random.uniform(0, 1)) for _ in range(kills)]


def killed(arguments, more, seconds):
    """Start the tune and kill it ``seconds`` after ``more`` new lines, or wait for its end."""
    report = arguments[0]
    enough = len(lines(report)) + more
    with start(*arguments, *ENDLESS) as process:
        soon(lambda: len(lines(report)) >= enough or process.poll() is not None)
        time.sleep(seconds)
        started = children(process.pid)
        process.kill()
    assert soon(lambda: not any(map(running, started)))


@pytest.mark.parametrize(
    "phases", [PHASES, pytest.param(at_random(30), marks=pytest.mark.sweep)], ids=["three", "many"]
)
def test_kills(model, tmp_path, phases):  # noqa: F811
    """Killed at any moment and resumed each time: saved lines are kept, and nothing is repeated."""
    report, folder = tmp_path / "report", tmp_path / "records"
    arguments = report, model, *SMALL, "-r", folder, "--resume", "--json"
    for more, seconds in phases:
        killed(arguments, more, seconds)
        assert set(lines(report)) <= set(saved(folder))
    before = journal(folder)
    with start(*arguments, "--trials", str(len(before) + 4)) as process:
        out, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    assert json.loads(out)["trials"] >= sum(bool(trial.choices) for trial in before)
    assert set(lines(report)) <= set(saved(folder))
    pairs = [(trial.kernel, trial.candidate) for trial in journal(folder)]
    assert len(pairs) == len(set(pairs))
