"""Kernels timed on this machine: their order, bits and failures, and no process left behind."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from tvm import te, topi

from quake_tvm import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.support import worker
from quake_tvm.tuning import clock_runner
from quake_tvm.tuning.clock_runner import ClockRunner
from tests.processes import children, python, running, soon
from tests.tuning.kernels import BAD, plain, product

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runner():
    runner = ClockRunner(target())
    yield runner
    runner.close()
    runner.close()


def measure(runner, *kernels):
    found = dict(runner.measure(kernels))
    return [found[n] for n in range(len(kernels))]


def test_more_work_costs_more(runner):
    small, large = measure(runner, product(64), product(512))
    assert not small.error + large.error
    assert 0 < small.cost < large.cost


def test_schedules_of_a_kernel_compute_the_same_bits_and_other_kernels_do_not(runner):
    x, w = te.placeholder((64, 64), name="x"), te.placeholder((64, 64), name="w")
    negated = te.create_prim_func([x, w, topi.nn.matmul(topi.negative(x), w)])
    kernels = product(64), plain(64), product(64), negated
    *same, other = [timing.digest for timing in measure(runner, *kernels)]
    assert len(set(same)) == 1
    assert other not in ("", same[0])


def test_a_bad_kernel_spoils_only_its_own_timing(runner, monkeypatch):
    (alone,) = measure(runner, product(64))
    bad = [name for name in BAD if name != "endless"]
    found = measure(runner, *(k for name in bad for k in (BAD[name][0], product(64))))
    with monkeypatch.context() as hasty:
        hasty.setattr(clock_runner, "DEADLINE", 2.0)
        hasty.setattr(worker, "PATIENCE", 1)
        found += measure(runner, BAD["endless"][0])
    found += measure(runner, product(64))
    for timing, says in zip(found[::2], [BAD[name][1] for name in (*bad, "endless")], strict=True):
        assert timing.cost is None
        assert not timing.digest
        assert "\n" not in timing.error
        assert re.search(says, timing.error), timing.error
    assert all(timing.digest == alone.digest and timing.cost > 0 for timing in found[1::2])


def test_turns(runner):
    found = runner.compare([product(64), BAD["abort"][0], product(512), BAD["unknown"][0]], 3)
    assert [len(figures) for figures in found] == [3, 0, 3, 0]
    assert min(found[0]) < min(found[2])


def test_nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(children(os.getpid()))
    runner = ClockRunner(target())
    list(runner.measure([product(64)]))
    abandoned = runner.measure([product(64)] * 3)
    next(abandoned)
    abandoned.close()
    runner.close()
    assert set(children(os.getpid())) == before
    assert not list(tmp_path.iterdir())


OWNER = """
from quake_tvm.machines.targets import target
from quake_tvm.tuning.clock_runner import ClockRunner
from tests.tuning.kernels import calling, product

runner = ClockRunner(target())
list(runner.measure([product(64)] * 2))
print("ready", flush=True)
list(runner.measure([calling("sleep", 1000)]))
"""


def test_nothing_is_left_when_its_owner_is_killed():
    with subprocess.Popen(python(OWNER), cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "ready\n"
        workers = children(owner.pid)
        assert len(workers) >= 2  # one that compiles, one that runs
        owner.kill()
    assert soon(lambda: not any(map(running, workers)))


def test_another_machines_code():
    with pytest.raises(QuakeError, match="does not run the target's code: give a tracker"):
        ClockRunner(target("raspberry-pi-4"))
