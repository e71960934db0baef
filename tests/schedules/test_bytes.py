"""Element-wise kernels of bytes: vectors of bytes of any number, and the code of tables."""

import re

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.machines.targets import target
from quake_tvm.numerics.byte_tables import ENTRIES
from quake_tvm.schedules import RULE, schedule
from quake_tvm.tvm_version import tir
from tests.emulation.machines import emulated

RNG = np.random.default_rng(0)
TABLE = RNG.integers(0, ENTRIES, ENTRIES).astype(np.uint8)
SHAPES = [(1,), (7,), (16,), (33,), (63,), (64,), (129,), (3, 5, 7), (2, 1000), (16384,)]


def read(*shape: int | tir.Var) -> tir.PrimFunc:
    """A table's entry for each byte."""
    x, t = te.placeholder(shape, "uint8", "x"), te.placeholder((ENTRIES,), "uint8", "t")
    y = te.compute(shape, lambda *i: t[tir.Cast("int32", x(*i))], "y")
    return te.create_prim_func([x, t, y])


def compiled(function: tir.PrimFunc, on: tvm.target.Target) -> tvm.runtime.Executable:
    done = schedule(function, on)
    assert done.attrs[RULE] == "elementwise"
    return tvm.compile(done, on)


@pytest.mark.parametrize("name", ["native", "x86-64-v3", "x86-64-v2"])
def test_any_size(name: str) -> None:
    on = target(name)
    for shape in SHAPES:
        x = RNG.integers(0, ENTRIES, shape).astype(np.uint8)
        y = tvm.runtime.tensor(np.zeros_like(x))
        compiled(read(*shape), on)["main"](*map(tvm.runtime.tensor, (x, TABLE)), y)
        np.testing.assert_array_equal(y.numpy(), TABLE[x], str(shape))


def test_any_size_at_run_time() -> None:
    library = compiled(read(*(tir.Var(name, "int64") for name in "mn")), target())
    for shape in [(0, 3), (1, 1), (3, 5), (1, 64), (7, 33), (20, 1000)]:
        x = RNG.integers(0, ENTRIES, shape).astype(np.uint8)
        y = tvm.runtime.tensor(np.zeros_like(x))
        library["main"](*map(tvm.runtime.tensor, (x, TABLE)), y)
        np.testing.assert_array_equal(y.numpy(), TABLE[x], str(shape))


def loop(assembly: str, instruction: str) -> list[str]:
    """The instructions of the innermost loop around the first of these instructions."""
    lines = assembly.splitlines()
    wanted = re.compile(r"\t(\{vex\}\s*)?" + instruction)
    at = next(k for k, line in enumerate(lines) if wanted.match(line))
    first = max(k for k in range(at) if lines[k].startswith(".LBB"))
    last = next(k for k in range(at, len(lines)) if re.match(r"\t(b\.|j|cbn?z)", lines[k]))
    return [line for line in lines[first : last + 1] if re.match(r"\t[a-z{]", line)]


@pytest.mark.parametrize(
    ("on", "instruction", "elements", "most"),
    [
        # Two reads for each 64 bytes; one for each 16 bytes and three more.
        ({"kind": "llvm", "mcpu": "znver4"}, "vpermt2b", 32, 0.15),
        ("cortex-a72", "tbl", 16, 0.7),
    ],
)
def test_instructions_an_element(on, instruction, elements, most) -> None:
    on = emulated(on) if on == "cortex-a72" else target(on)
    body = loop(compiled(read(4096), on).mod.inspect_source("asm"), instruction)
    reads = sum(line.startswith(f"\t{instruction}") for line in body)
    assert len(body) <= most * reads * elements
