"""Tables of bytes: the targets' shuffles give what loads give, on emulated ARM too."""

import numpy as np
import pytest
import tvm
from tvm import s_tir, te

from quake_tvm.emulation import kernel
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.numerics.byte_tables import ENTRIES, lanes_of
from quake_tvm.tvm_version import tir
from tests.emulation.machines import emulated

COUNT = 1536
# Each machine's instruction, if it has one.
ON_X86 = {
    "native": None,
    "znver4": "vpermt2b",
    "x86-64-v2": None,
    "x86-64-v3": "vpshufb",
    "x86-64-v4": "vpshufb",
}
RNG = np.random.default_rng(0)
X = RNG.permutation(np.arange(COUNT) % ENTRIES).astype(np.uint8)
TABLE = RNG.integers(0, ENTRIES, ENTRIES).astype(np.uint8)


def named(name: str) -> tvm.target.Target:
    return target({"kind": "llvm", "mcpu": name} if name == "znver4" else name)


def reads(*lanes: int) -> tvm.tirx.PrimFunc:
    """A kernel that reads a table in vectors of so many bytes, one result for each number."""
    x, t = te.placeholder((COUNT,), "uint8", "x"), te.placeholder((ENTRIES,), "uint8", "t")
    results = [
        te.compute((COUNT,), lambda i: t[tir.Cast("int32", x[i])], f"y{k}")
        for k in range(len(lanes))
    ]
    sch = s_tir.Schedule(te.create_prim_func([x, t, *results]))
    for k, n in enumerate(lanes):
        (loop,) = sch.get_loops(sch.get_sblock(f"y{k}"))
        sch.vectorize(sch.split(loop, [None, n])[1])
    return sch.mod["main"]


@pytest.mark.parametrize("name", ON_X86)
def test_vectors_of_any_length(name: str) -> None:
    on, lanes = named(name), (1, 2, 4, 8, 12, 16, 32, 48, 64, 96, 128, 192)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    library = tvm.compile(reads(*lanes), on)
    results = [tvm.runtime.empty((COUNT,), "uint8") for _ in lanes]
    library["main"](tvm.runtime.tensor(X), tvm.runtime.tensor(TABLE), *results)
    for n, result in zip(lanes, results, strict=True):
        np.testing.assert_array_equal(result.numpy(), TABLE[X], str(n))


@pytest.mark.parametrize("name", [name for name, used in ON_X86.items() if used])
def test_the_instruction_is_used(name: str) -> None:
    on = named(name)
    assembly = tvm.compile(reads(lanes_of(on)), on).mod.inspect_source("asm")
    assert ON_X86[name] in assembly
    assert lanes_of(target("x86-64-v2")) is None


def test_arm(tmp_path) -> None:
    on = emulated("cortex-a72")
    function = reads(8, 16, 32)
    library = kernel.export({"reads": function}, on, tmp_path / "reads.so")
    shapes = [((COUNT,), "uint8")] * 3
    for found in kernel.run(library, "reads", [X, TABLE], shapes, on):
        np.testing.assert_array_equal(found, TABLE[X])
    assembly = tvm.compile(reads(16), on).mod.inspect_source("asm")
    assert assembly.count("tbl\t") == 1
    assert assembly.count("tbx\t") == 3
