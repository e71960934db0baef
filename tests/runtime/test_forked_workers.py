"""A forked child runs models, compiles and exits normally, whatever its parent has done before."""

import subprocess

import pytest

from tests.processes import python

# The parent's workers have gone to sleep.
START = """
import multiprocessing, os, signal, sys, threading, time
import numpy as np, quake_tvm
from tvm import relax
from tests.helpers import module
from quake_tvm.runtime import worker_threads

signal.alarm(1200)
model = quake_tvm.compile(module(relax.op.nn.softmax, (512, 512)))
x = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)


def forked(work, status=0):
    '''Let a child work and end as Python does; its status.'''
    pid = os.fork()
    if not pid:
        signal.alarm(300)
        work()
        sys.exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def workers():
    return len(os.listdir("/proc/self/task")) - threading.active_count()


def right():
    assert np.array_equal(model.run(x)[0], expected)


if os.environ.get("RUN_BEFORE"):
    expected = model.run(x)[0].copy()
    assert workers() > 0
    time.sleep(0.2)
else:
    pid = os.fork()  # for the values alone
    expected = np.exp(x - x.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    right = lambda: np.testing.assert_allclose(model.run(x)[0], expected, 1e-2)
    if not pid:
        sys.exit()
"""

SCENES = {
    "several, and the parent after them": """
assert [forked(right, n) for n in range(3)] == [0, 1, 2]
right()
""",
    "without a run": """
assert forked(lambda: None, 5) == 5
""",
    "nested": """
def nested():
    right()
    time.sleep(0.1)
    assert forked(right, 3) == 3
    right()
assert forked(nested, 4) == 4
""",
    "nested, the middle one idle": """
assert forked(lambda: os._exit(forked(right, 3)), 0) == 3
""",
    "from a thread": """
found = []
def work():
    right()
    found.append(forked(lambda: [right(), os._exit(7)]))
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert found == [7]
""",
    "threads in the child": """
def many():
    threads = [threading.Thread(target=right) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    right()
assert forked(many) == 0
""",
    "while threads run": """
going = True
def run():
    while going:
        right()
        time.sleep(0.01)
threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads:
    thread.start()
found = [forked(right, n) for n in range(3)]
going = False
for thread in threads:
    thread.join()
assert found == [0, 1, 2]
""",
    "a pool of processes": """
def work(n):
    right()
    return n
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map(work, range(9)) == list(range(9))
""",
    "compiles in the child": """
from quake_tvm.support.compiler_lock import compiling
ready, done = threading.Event(), threading.Event()
def hold():
    with compiling():
        ready.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
ready.wait()
def build():
    quake_tvm.compile(module(relax.op.nn.relu, (4, 8))).run(np.zeros((4, 8), np.float32))
assert forked(build) == 0
done.set()
thread.join()
""",
    "its workers are its own": """
def work():
    assert workers() == 0
    right()
    assert workers() == 2
assert forked(work) == 0
""",
}
# Before the first run there are no workers to lose, so only these scenes apply.
EARLY = ("several, and the parent after them", "threads in the child")


def play(*scenes: str, threads: int = 3, **environment: str) -> None:
    """The scenes one after the other, in one process."""
    told = [f"print({name!r}, flush=True)\n{SCENES[name]}" for name in scenes]
    done = subprocess.run(
        python("\n".join([START, *told])),
        env={
            "PATH": "/usr/bin:/bin",
            "TVM_NUM_THREADS": str(threads),
            "TVM_THREAD_POOL_SPIN_COUNT": "1000",  # workers go to sleep soon
            **environment,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]}: {done.stderr}"
    assert not done.stderr


@pytest.mark.slow
def test_after_a_run():
    play(*SCENES, RUN_BEFORE="1")


@pytest.mark.slow
def test_before_a_run():
    play(*EARLY)


@pytest.mark.sweep
@pytest.mark.parametrize("threads", [2, 8, 32])
@pytest.mark.parametrize("scene", sorted(SCENES))
def test_with_many_workers(scene, threads):
    play("nested" if scene == "its workers are its own" else scene, threads=threads, RUN_BEFORE="1")
