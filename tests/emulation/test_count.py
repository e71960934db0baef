"""Counted instructions agree with a kernel's loop, counted fully or as a sample."""

import re

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm import QuakeError
from quake_tvm.emulation import count, kernel
from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule

from .machines import emulated

SIZE = 4096
TARGETS = ("cortex-a72", "x86-64-v3")


def counted(name):
    """A target. Skips if its programs cannot be counted."""
    found = emulated(name)
    try:
        count.version(found)
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")
    return found


def sigmoid(size, on):
    x = te.placeholder((size,), name="x")
    output = compute.elementwise(x, "sigmoid", "quake2")
    return schedule(te.create_prim_func([x, output]), on)


def executed(size, on, folder):
    library = kernel.export({"sigmoid": sigmoid(size, on)}, on, folder / f"{size}.so")
    x = np.zeros(size, np.float32)
    return count.execution(library, "sigmoid", [x], [((size,), "float32")], on)


def loop(assembly):
    """The instructions of the one vector loop."""
    lines = [line.partition("\t#")[0].strip() for line in assembly.splitlines()]
    places = {line.removesuffix(":"): n for n, line in enumerate(lines) if line.endswith(":")}
    for n, line in enumerate(lines):
        back = re.fullmatch(r"(?:b\.ne|jne)\s+(\S+)", line)
        if back and places.get(back[1], n) < n:
            body = [s for s in lines[places[back[1]] + 1 : n + 1] if not s.startswith(".")]
            if len(body) > 20:
                return body
    raise AssertionError("no loop")


def stored(body):
    """The number of elements that a loop's body stores, not counting stores to the stack."""
    pairs = sum(bool(re.match(r"stp\s+q\d+, q\d+, \[x", line)) for line in body)
    vectors = sum(bool(re.match(r"vmov[au]ps\s+%ymm\d+, [^%]*\(%r(?!sp)", line)) for line in body)
    return 8 * pairs + 8 * vectors


@pytest.mark.parametrize("name", TARGETS)
def test_as_many_as_the_loop_has(name, tmp_path):
    on = counted(name)
    body = loop(tvm.compile(sigmoid(SIZE, on), target=on).mod.inspect_source("asm"))
    turns, rest = divmod(SIZE, stored(body))
    assert rest == 0
    once, twice = (executed(size, on, tmp_path).instructions for size in (SIZE, 2 * SIZE))
    assert twice - once == turns * len(body)


@pytest.mark.parametrize("name", TARGETS)
def test_all_of_a_small_kernel_are_kept(name, tmp_path):
    found = executed(SIZE, counted(name), tmp_path)
    # The sample has whole blocks only, so the last one may exceed the end.
    assert found.instructions <= len(found.sample) < 1.05 * found.instructions


def test_a_sample_of_a_large_one_is_like_the_whole(tmp_path):
    on = counted("cortex-a72")
    body = loop(tvm.compile(sigmoid(SIZE, on), target=on).mod.inspect_source("asm"))
    found = executed(64 * SIZE, on, tmp_path)
    assert len(found.sample) < found.instructions / 4
    assert abs(len(found.sample) / count.SAMPLE - 1) < 0.1
    # Each instruction of the loop occurs as often as any other.
    in_loop = sorted(map(found.sample.count, set(found.sample)))[-len(set(body)) // 2 :]
    assert in_loop[0] > 0.9 * len(found.sample) / len(body)


def test_no_emulator_for_this_machine(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(QuakeError, match="install Debian's qemu-user"):
        count.version(target("native"))
