"""Kernels counted in QEMU: their order, bits and failures, and equal figures every time."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from quake_tvm import QuakeError
from quake_tvm.emulation import mca
from quake_tvm.machines.targets import target
from quake_tvm.support import worker
from quake_tvm.tuning import static_runner
from quake_tvm.tuning.clock_runner import ClockRunner
from quake_tvm.tuning.static_runner import StaticRunner
from tests.emulation.machines import MACHINES
from tests.emulation.test_count import counted
from tests.processes import children, python, running, soon
from tests.tuning.kernels import BAD, plain, product

ROOT = Path(__file__).parents[2]
A72 = "cortex-a72"


@pytest.fixture(scope="module")
def a72():
    """The target. Skips if its cycles cannot be counted."""
    counted(A72)
    try:
        mca.version()
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")
    return target(MACHINES[A72])


@pytest.fixture(scope="module")
def runner(a72):
    runner = StaticRunner(a72)
    yield runner
    runner.close()
    runner.close()


def measure(runner, *kernels):
    found = dict(runner.measure(kernels))
    return [found[n] for n in range(len(kernels))]


def test_costs_and_bits(runner, a72):
    assert (runner.measured, runner.unit) == ("static", "cycles")
    scheduled, unscheduled, large = measure(runner, product(64, a72), plain(64), plain(192))
    assert not scheduled.error + unscheduled.error + large.error
    assert 0 < 2 * scheduled.cost < unscheduled.cost < large.cost
    assert scheduled.digest == unscheduled.digest != large.digest
    assert measure(runner, product(64, a72)) == [scheduled]
    (cost,), failed = runner.compare([product(64, a72), BAD["missing"][0]], 3)
    assert not failed
    assert cost == pytest.approx(scheduled.cost, rel=0.1)


def test_parallel_loops_are_one_threads(runner, a72):
    # Twice the size, two threads: each has half of the work.
    small, large = measure(runner, product(128, a72, depth=256), product(256, a72, depth=256))
    assert large.cost > 3 * small.cost


def test_a_bad_kernel_spoils_only_its_own_timing(runner, monkeypatch, a72):
    names = ["abort", "stray", "missing", "unknown", "growing"]
    *bad, good = measure(runner, *(BAD[name][0] for name in names), product(64, a72))
    monkeypatch.setattr(static_runner, "DEADLINE", 2.0)
    monkeypatch.setattr(worker, "PATIENCE", 1)
    bad += measure(runner, BAD["endless"][0])
    for name, timing in zip((*names, "endless"), bad, strict=True):
        assert timing.cost is None
        assert re.search(BAD[name][1], timing.error), timing.error
    assert good.cost > 0


def test_the_digest_is_that_of_the_clocks_runner():
    here = target("x86-64-v3")
    counted("x86-64-v3")
    runners = StaticRunner(here), ClockRunner(target())
    try:
        (static,), (clock,) = (measure(each, plain(64)) for each in runners)
    finally:
        for each in runners:
            each.close()
    assert static.digest == clock.digest != ""


def test_no_model_no_cycles():
    counted("armv7")
    runner = StaticRunner(target(MACHINES["armv7"]))
    assert runner.unit == "instructions"
    (timing,) = measure(runner, plain(16))
    runner.close()
    assert timing.cost == int(timing.cost) > 0


def test_no_tools(monkeypatch, a72):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(QuakeError, match="no qemu-aarch64: install"):
        StaticRunner(a72)


OWNER = f"""
from quake_tvm.machines.targets import target
from quake_tvm.tuning.static_runner import StaticRunner
from tests.emulation.machines import MACHINES
from tests.tuning.kernels import calling

list(StaticRunner(target(MACHINES[{A72!r}])).measure([calling("sleep", 1000)]))
"""


def test_nothing_is_left_when_its_owner_is_killed(a72):
    with subprocess.Popen(python(OWNER), cwd=ROOT) as owner:
        started = []

        def is_counting():
            workers = children(owner.pid)
            programs = [child for worker in workers for child in children(worker)]
            started[:] = [*workers, *programs]
            return any("qemu" in name(program) for program in programs)

        assert soon(is_counting)
        owner.send_signal(signal.SIGKILL)
    assert soon(lambda: not any(map(running, started)))


def name(process):
    try:
        return os.readlink(f"/proc/{process}/exe")
    except OSError:
        return ""
