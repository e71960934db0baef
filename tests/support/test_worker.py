"""Workers: answers, deadlines, deaths, and that no process remains after a kill."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from quake_tvm.support import worker as workers
from quake_tvm.support.worker import Died, Failed, TimedOut, Worker
from tests.processes import children, running, soon

MODULE = "tests.support.worker_session"
ROOT = str(Path(__file__).parents[2])
# A limit, in seconds, for steps that take no time.
LONG = 300.0


@pytest.fixture
def worker():
    worker = Worker(MODULE, PYTHONPATH=ROOT)
    yield worker
    worker.close()
    assert not running(worker.process.pid)


def test_one_answer_after_the_other(worker):
    for n in range(3):
        assert worker.ask(LONG, "double", np.arange(n)).tolist() == list(range(0, 2 * n, 2))


def test_it_survives_its_errors(worker):
    with pytest.raises(Failed, match=r"^why$"):
        worker.ask(LONG, "fail", "Traceback\nCheck failed: size < 3 is false: why\n")
    with pytest.raises(Failed, match=r"^RuntimeError$"):
        worker.ask(LONG, "fail", "")
    assert worker.ask(LONG, "double", 2) == 4


@pytest.mark.parametrize("asked", [("sleep", 1000), ("spin",)])
def test_it_is_killed_at_its_deadline(worker, asked):
    assert worker.ask(LONG, "double", 2) == 4
    start = time.monotonic()
    with pytest.raises(TimedOut, match=r"no answer in 0\.3 s"):
        worker.ask(0.3, *asked)
    assert time.monotonic() - start < LONG
    assert worker.closed
    assert not running(worker.process.pid)


@pytest.mark.parametrize(("asked", "ends"), [(("sleep", 1000), 3.0), (("spin",), 0.3)])
def test_a_patient_one_has_more_time_while_it_gets_no_processor(asked, ends, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1000)
    worker = Worker(MODULE, patient=True, PYTHONPATH=ROOT)
    assert worker.ask(LONG, "double", 2) == 4
    assert worker.ask(0.05, "sleep", 0.3) is None  # it has had less than 50 ms of a processor
    monkeypatch.setattr(workers, "PATIENCE", 10)
    start = time.monotonic()
    with pytest.raises(TimedOut, match=r"no answer in 0\.3 s"):
        worker.ask(0.3, *asked)
    assert time.monotonic() - start >= ends
    assert worker.closed


def test_without_proc_a_patient_one_has_its_limit(monkeypatch):
    monkeypatch.setattr(workers, "PROCESSES", Path("/nowhere"))
    worker = Worker(MODULE, patient=True, PYTHONPATH=ROOT)
    assert worker.ask(LONG, "double", 2) == 4
    with pytest.raises(TimedOut):
        worker.ask(0.05, "sleep", 1000)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("send", signal.SIGSEGV), "crashed with SIGSEGV"),
        (("end", 3), "last words"),
        (("end", 0), ""),
    ],
)
def test_it_dies(worker, asked, says):
    with pytest.raises(Died) as error:
        worker.ask(LONG, *asked)
    assert str(error.value) == says
    assert worker.closed
    worker.close()


def test_too_much_memory_is_an_error_of_its_own(worker):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with pytest.raises(Failed, match="Unable to allocate"):
        worker.ask(LONG, "fill", memory)
    assert worker.ask(LONG, "fill", 1 << 20) == 1 << 20


@pytest.mark.parametrize("asked", ["spin", ""])
def test_its_temporary_files_go_with_it(monkeypatch, tmp_path, asked):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    worker = Worker(MODULE, PYTHONPATH=ROOT)
    worker.ask(LONG, "leave_files")
    assert list(tmp_path.glob("*/left"))
    if asked:
        with pytest.raises(TimedOut):
            worker.ask(0.3, asked)
    worker.close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(Died):
        worker.ask(LONG, "double", 2)


def test_who_waits_for_a_worker_that_is_killed_is_told(worker):
    assert worker.ask(LONG, "double", 2) == 4
    threading.Timer(0.3, worker.kill).start()
    with pytest.raises(Died, match="SIGKILL"):
        worker.ask(LONG, "spin")


def others(path):
    """The process ids of the programs that the worker has started."""
    assert soon(lambda: path.exists() and len(path.read_text().split()) == 2)
    return [int(number) for number in path.read_text().split()]


def test_what_it_has_started_ends_with_it(worker, tmp_path):
    with pytest.raises(TimedOut):
        worker.ask(2, "have_others", str(tmp_path / "others"))
    assert soon(lambda: not any(map(running, others(tmp_path / "others"))))


OWNER = f"""
import sys
from quake_tvm.support.worker import Worker

Worker({MODULE!r}, PYTHONPATH={ROOT!r}).ask(1000, *sys.argv[1:])
"""


@pytest.mark.parametrize("asked", ["have_others", "spin"])
@pytest.mark.parametrize("early", [False, True])
def test_nothing_is_left_when_its_owner_is_killed(tmp_path, asked, early):
    path = tmp_path / "others"
    arguments = [asked, *([str(path)] if asked == "have_others" else [])]
    with subprocess.Popen([sys.executable, "-c", OWNER, *arguments], cwd=ROOT) as owner:
        assert soon(lambda: children(owner.pid))
        started = children(owner.pid)
        if not early:
            time.sleep(1)
            started += others(path) if asked == "have_others" else []
        owner.kill()
    assert soon(lambda: not any(map(running, started)))
