"""Many threads can use one model at once, and the compiler too."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from quake_tvm.runtime import call_times, virtual_machines, worker_threads
from quake_tvm.tvm_version import tir
from tests.helpers import module
from tests.processes import python

op = relax.op
THREADS = 8
SIZE = 192


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Models behave as on two cores, whatever this machine has."""
    monkeypatch.setattr(virtual_machines, "cores", lambda: 2)


def layers(x):
    """Products, rows, and an output that is an unchanged input."""
    return relax.Tuple([op.nn.softmax(op.matmul(op.nn.gelu(x), x)), op.reshape(x, (SIZE * SIZE,))])


@pytest.fixture(scope="module")
def model() -> quake_tvm.Model:
    return quake_tvm.compile(module(layers, (SIZE, SIZE)))


@pytest.fixture(scope="module")
def arrays() -> list[np.ndarray]:
    """Arrays, some of which are passed without a copy, others with one."""
    made = np.random.default_rng(0).normal(size=(THREADS, SIZE, SIZE)).astype(np.float32)
    return [x if n % 2 else np.asfortranarray(x) for n, x in enumerate(made)]


def in_threads(work: Callable[[int], object], count: int = THREADS) -> list:
    """The results of the work for every number. All threads start at once."""
    start = threading.Barrier(count)

    def begin(n: int) -> object:
        start.wait()
        return work(n)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def assert_serves(model: quake_tvm.Model, arrays: list[np.ndarray], calls: int = 10) -> None:
    expected = [[y.copy() for y in model.run(x)] for x in arrays]

    def work(n: int) -> None:
        for _ in range(calls):
            for found, right in zip(model.run(arrays[n]), expected[n], strict=True):
                np.testing.assert_array_equal(found, right)

    in_threads(work)


def test_many_threads_get_their_own_values(model, arrays):
    assert_serves(model, arrays)
    assert len(model._machines._alive) == 2


def test_of_a_loaded_model_too(model, arrays, tmp_path):
    assert_serves(quake_tvm.load(model.export(tmp_path / "model.so")), arrays)


def test_of_dynamic_shapes(model):
    shape = (tir.Var("n", "int64"), 24)
    dynamic = quake_tvm.compile(module(op.nn.softmax, shape))
    xs = [np.random.default_rng(n).normal(size=(n + 1, 24)).astype(np.float32) for n in range(8)]
    assert_serves(dynamic, xs)


def test_machines_share_the_constants(model, monkeypatch):
    made = []
    weights = np.zeros((1024, 4096), np.float32)

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    big = quake_tvm.compile(module(lambda x: op.matmul(x, relax.const(weights)), (1, 1024)))
    big.run(np.zeros((1, 1024), np.float32))
    before = resident()
    for _ in range(8):
        made.append(big._machines._make())
        made[-1].main(*(i.tensor(np.zeros((1, 1024), np.float32)) for i in made[-1].buffers))
    assert resident() - before < weights.nbytes


def test_short_calls_take_turns(monkeypatch):
    small = quake_tvm.compile(module(op.nn.relu, (4, 8)))
    monkeypatch.setattr(call_times, "SHORT", 10**9)
    with small._machines.one() as first, small._machines.one() as second:
        assert first.main.release_gil
        for _ in range(call_times.TIMED):
            second.main(*(i.tensor(np.zeros((4, 8), np.float32)) for i in second.buffers))
        assert not first.main.release_gil


def test_long_calls_do_not(monkeypatch):
    each = quake_tvm.compile(module(op.nn.relu, (4, 8)))
    monkeypatch.setattr(call_times, "SHORT", 0)
    with each._machines.one() as first, each._machines.one() as second:
        for _ in range(call_times.TIMED):
            second.main(*(i.tensor(np.zeros((4, 8), np.float32)) for i in second.buffers))
        assert first.main.release_gil


def test_short_calls_of_any_length_take_turns(monkeypatch):
    any_length = quake_tvm.compile(module(op.nn.relu, (tir.Var("n", "int64"), 8)))
    monkeypatch.setattr(call_times, "SHORT", 10**9)
    x, machines = np.ones((4, 8), np.float32), any_length._machines
    with machines.one() as first, machines.one() as second:
        assert first.main.release_gil
        assert not first.short.release_gil
        for _ in range(call_times.TIMED):
            second.main(*(i.tensor(x) for i in second.buffers))
        assert machines.times.short_up_to == x.size
        first.main = None  # so that a call with it fails
    for rows in (4, 1):
        np.testing.assert_array_equal(any_length.run(x[:rows])[0], x[:rows])


def test_a_call_waits_for_a_machine(model, arrays):
    with model._machines.one(), model._machines.one(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(model.run, arrays[0])
        while not model._machines.waiting:
            time.sleep(0.001)
        assert not waiting.done()
        with pytest.raises(TimeoutError):
            waiting.result(timeout=3 * virtual_machines.PATIENCE)
        model._machines.put(model._machines._make())
        assert len(waiting.result()) == 2


def test_a_machine_that_an_interrupt_took_is_made_again(model, arrays):
    lost = quake_tvm.compile(module(op.nn.relu, (4, 8)))
    x = np.zeros((4, 8), np.float32)
    for _ in range(3):
        lost._machines.take()  # and never returned
        lost._machines.take()
    gc.collect()
    lost.run(x)
    assert any(machine.home is lost._machines.first for machine in lost._machines._alive)


def test_benchmarks_and_instruments_beside_calls(model, arrays):
    seen: dict[int, list[str]] = {}

    def work(n: int) -> None:
        if n % 3 == 0:
            model.benchmark(arrays[n], number=2, repeat=2)
        elif n % 3 == 1:
            model.run(arrays[n])
        else:
            names = seen.setdefault(n, [])
            watched = model.instrumented(lambda f, name, *_: names.append(str(name)) or 0)
            watched.run(arrays[n])

    in_threads(work)
    assert seen[2] == seen[5] != []
    before = len(seen[2])
    model.run(arrays[0])
    assert len(seen[2]) == before


def test_collected_while_others_run(arrays):
    for _ in range(3):
        own = quake_tvm.compile(module(op.nn.relu, (SIZE, SIZE)))
        right = np.maximum(arrays[1], 0)
        futures = []
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(own.run, arrays[1]) for _ in range(20)]
            del own
            gc.collect()
        for future in futures:
            np.testing.assert_array_equal(future.result()[0], right)


def test_compiling_in_threads(capsys):
    stdout = sys.stdout
    shapes = [(n + 1, 8) for n in range(4)]
    mods = [module(lambda x: op.nn.softmax(op.nn.gelu(x)), shape) for shape in shapes]
    built = in_threads(lambda n: quake_tvm.compile(mods[n]), 4)
    assert sys.stdout is stdout
    for shape, each in zip(shapes, built, strict=True):
        assert each.run(np.zeros(shape, np.float32))[0].shape == shape


# This runs in a process of its own: TVM changes the caller's CPU affinity for good.
AFFINITY = """
import os
import numpy as np, quake_tvm
from tvm import relax
from quake_tvm.runtime import worker_threads
from tests.helpers import module

model = quake_tvm.compile(module(relax.op.nn.softmax, (512, 512)))
x = np.zeros((512, 512), np.float32)
given = {max(os.sched_getaffinity(0))}
if LAST:
    os.sched_setaffinity(0, given)
given = os.sched_getaffinity(0)
model.run(x)
masks = [os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")]
assert os.sched_getaffinity(0) == given, masks
print(len(masks), worker_threads._count())
"""


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("threads", ["2", None])
def test_the_process_keeps_its_cores(last, threads):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TVM_", "OMP_"))}
    if threads:
        environment["TVM_NUM_THREADS"] = threads
    code = AFFINITY.replace("LAST", str(last))
    done = subprocess.run(python(code), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if last:  # one core: as many workers as requested, or else none
        assert done.stdout.split()[1] == (threads or "1")


def test_calls_beside_others_have_no_workers(monkeypatch):
    counts = []
    limited = worker_threads.alone(lambda: counts.append(worker_threads._count()))
    before = worker_threads._count()
    limited()
    assert counts == [1]
    assert worker_threads._count() == before
