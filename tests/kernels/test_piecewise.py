"""Piecewise-linear tables at every input: the same outputs on all targets, ARM emulated."""

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.emulation import kernel
from quake_tvm.kernels.piecewise import piecewise_linear
from quake_tvm.lut.integers import IntegerTable, approximate
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.schedules import RULE, schedule
from tests.emulation.machines import emulated
from tests.lut.test_integers import outputs

PAIRS = [("int8", "int8"), ("uint8", "uint8"), ("int16", "int16"), ("uint16", "uint8")]
TABLES = {
    f"{dtype}_{to}_{entries}": approximate(outputs("silu", dtype, to), dtype, entries)
    for dtype, to in PAIRS
    for entries in (8, 16)
}


def inputs(table: IntegerTable) -> np.ndarray:
    limits = np.iinfo(table.dtype)
    return np.arange(limits.min, limits.max + 1).astype(table.dtype)


def kernel_of(table: IntegerTable) -> tvm.tirx.PrimFunc:
    x = te.placeholder(inputs(table).shape, table.dtype, "x")
    y = te.compute(x.shape, lambda i: piecewise_linear(x[i], table), "y")
    return te.create_prim_func([x, y])


def kernels(on: tvm.target.Target) -> dict[str, tvm.tirx.PrimFunc]:
    made = {}
    for name, table in TABLES.items():
        made[name] = schedule(kernel_of(table), on).with_attr("global_symbol", name)
        assert made[name].attrs[RULE] == "elementwise"
    return made


@pytest.mark.parametrize("name", ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_every_input(name: str) -> None:
    on = target(name)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    library = tvm.compile(tvm.IRModule(kernels(on)), on)
    for each, table in TABLES.items():
        y = tvm.runtime.tensor(np.zeros_like(table.outputs()))
        library[each](tvm.runtime.tensor(inputs(table)), y)
        np.testing.assert_array_equal(y.numpy(), table.outputs(), each)


def test_arm(tmp_path) -> None:
    on = emulated("cortex-a72")
    library = kernel.export(kernels(on), on, tmp_path / "tables.so")
    for name, table in TABLES.items():
        shape = (table.outputs().shape, table.to)
        (found,) = kernel.run(library, name, [inputs(table)], [shape], on)
        np.testing.assert_array_equal(found, table.outputs(), name)
