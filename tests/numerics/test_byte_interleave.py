"""Four bytes as one int32: the same on every target, in vectors and alone."""

import numpy as np
import pytest
import tvm
from tvm import s_tir, te

from quake_tvm.emulation import kernel
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.numerics.byte_interleave import interleaved
from tests.emulation.machines import emulated

COUNT, LANES = 192, (1, 4, 8, 16, 64)
BYTES = np.random.default_rng(0).integers(0, 256, (4, COUNT)).astype(np.uint8)
WANTED = np.ascontiguousarray(BYTES.T).view("<i4")[:, 0]


def functions(dtype):
    """A kernel for each number of lanes."""
    parts = [te.placeholder((COUNT,), dtype, name) for name in "abcd"]
    y = te.compute((COUNT,), lambda i: interleaved([part[i] for part in parts]), "y")
    made = {}
    for lanes in LANES:
        sch = s_tir.Schedule(te.create_prim_func([*parts, y]))
        (loop,) = sch.get_loops(sch.get_sblock("y"))
        if lanes > 1:
            sch.vectorize(sch.split(loop, [None, lanes])[1])
        made[f"of{lanes}"] = sch.mod["main"].with_attr("global_symbol", f"of{lanes}")
    return made


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", ["native", "x86-64-v2", "x86-64-v3"])
def test_x86(name, dtype):
    on = target(name)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    built = tvm.compile(tvm.IRModule(functions(dtype)), on)
    for lanes in LANES:
        found = tvm.runtime.empty((COUNT,), "int32")
        built[f"of{lanes}"](*map(tvm.runtime.tensor, BYTES.view(dtype)), found)
        np.testing.assert_array_equal(found.numpy(), WANTED, f"{lanes} lanes")


def test_arm(tmp_path):
    on = emulated("cortex-a72")
    library = kernel.export(functions("uint8"), on, tmp_path / "interleaved.so")
    for lanes in LANES:
        shape = [((COUNT,), "int32")]
        (found,) = kernel.run(library, f"of{lanes}", list(BYTES), shape, on)
        np.testing.assert_array_equal(found, WANTED, f"{lanes} lanes")
