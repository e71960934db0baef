"""The program that runs single kernels: on this machine and on emulated ones."""

import numpy as np
import pytest
from tvm.script import tirx as T

from quake_tvm.emulation import kernel
from quake_tvm.errors import QuakeError
from tests.emulation.machines import ARMV7, emulated

MACHINES = ["native", "cortex-a72", ARMV7]
ROWS, LENGTH = 16, 1024


@T.prim_func(s_tir=True)
def turn_rows(
    x: T.Buffer((ROWS, LENGTH), "float32"),
    first: T.Buffer((ROWS,), "float32"),
    turned: T.Buffer((ROWS, LENGTH), "float64"),
):
    for i in T.parallel(ROWS):
        row = T.alloc_buffer((LENGTH,), "float64")  # too long for the stack
        for j in range(LENGTH):
            row[LENGTH - 1 - j] = T.Cast("float64", x[i, j])
        for j in range(LENGTH):
            turned[i, j] = row[j]
        first[i] = x[i, 0]


@T.prim_func(s_tir=True)
def add(n: T.Buffer((), "int64"), y: T.Buffer((3,), "int64")):
    for i in range(3):
        y[i] = y[i] + n[()]


@T.prim_func(s_tir=True)
def abort(y: T.Buffer((1,), "int32")):
    y[0] = T.call_extern("int32", "abort")


@T.prim_func(s_tir=True)
def strange_instruction(y: T.Buffer((1,), "int32")):
    y[0] = T.call_extern("int32", "raise", 4)


@T.prim_func(s_tir=True)
def sleep(y: T.Buffer((1,), "int32")):
    y[0] = T.call_extern("int32", "sleep", 60)


FUNCTIONS = {
    f.attrs["global_symbol"]: f for f in (turn_rows, add, abort, strange_instruction, sleep)
}
X = np.random.default_rng(0).normal(size=(ROWS, LENGTH)).astype(np.float32)
ONE = np.array(1, np.int64)
INTS = [((3,), "int64")]


@pytest.fixture(scope="module", params=MACHINES)
def machine(request, tmp_path_factory):
    """A target, and a library of the functions above for it."""
    target = emulated(request.param)
    library = tmp_path_factory.mktemp("library") / "kernels.so"
    return target, kernel.export(FUNCTIONS, target, library)


def run(machine, name, arrays, results, **options):
    target, library = machine
    return kernel.run(library, name, arrays, results, target, **options)


def test_several_results_through_a_workspace_and_in_parallel(machine):
    results = [((ROWS,), "float32"), ((ROWS, LENGTH), "float64")]
    first, turned = run(machine, "turn_rows", [X], results)
    assert np.array_equal(first, X[:, 0])
    assert np.array_equal(turned, X[:, ::-1].astype(np.float64))


def test_arrays_need_not_be_contiguous(machine):
    results = [((ROWS,), "float32"), ((ROWS, LENGTH), "float64")]
    first, _ = run(machine, "turn_rows", [X[::-1, ::-1]], results)
    assert np.array_equal(first, X[::-1, -1])


def test_repeats_go_on_with_the_results(machine):
    once, again = (run(machine, "add", [ONE], INTS, repeat=n)[0] for n in (1, 5))
    assert np.array_equal(again - once, [4, 4, 4])


def test_many_calls_in_one_process(machine):
    target, library = machine
    calls = [kernel.Call("add", [np.array(n)], INTS) for n in range(20)]
    found = kernel.run_all(library, calls, target)
    assert [int(y[0] - found[0][0][0]) for (y,) in found] == list(range(20))


@pytest.mark.parametrize(
    ("name", "arrays", "results", "message"),
    [
        ("absent", [], INTS, "no function absent"),
        ("add", [ONE], [((4,), "int64")], r"y\.shape\[0\].*expected 3"),
        ("add", [ONE], [((3,), "int32")], "dtype"),
        ("add", [], INTS, "Expected 2 arguments"),
        ("abort", [], [((1,), "int32")], "SIGABRT"),
        ("strange_instruction", [], [((1,), "int32")], "SIGILL: .* lacks an instruction"),
    ],
)
def test_what_fails_says_so(machine, name, arrays, results, message):
    with pytest.raises(QuakeError, match=message):
        run(machine, name, arrays, results)


def test_what_hangs_is_stopped(machine, monkeypatch):
    monkeypatch.setattr(kernel, "TIMEOUT", 0.5)
    with pytest.raises(QuakeError, match="hangs"):
        run(machine, "sleep", [], [((1,), "int32")])


def test_a_library_for_another_machine_is_refused(machine, tmp_path):
    (tmp_path / "other.so").write_bytes(b"no library")
    with pytest.raises(QuakeError, match="cannot load"):
        kernel.run(tmp_path / "other.so", "add", [ONE], INTS, machine[0])


def test_the_program_is_compiled_once(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run(machine, "add", [ONE], INTS)
    (program,) = (tmp_path / "quake_tvm").iterdir()
    made = program.stat().st_mtime_ns
    run(machine, "add", [ONE], INTS)
    assert program.stat().st_mtime_ns == made
