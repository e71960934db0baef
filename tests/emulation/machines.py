"""The processors that tests emulate, and a function to run kernels on one, as one library."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.emulation import kernel, machine
from quake_tvm.errors import QuakeError
from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.schedules import schedule
from quake_tvm.support import toolchain
from quake_tvm.tvm_version import Expr, tir

_AARCH64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"]}
# In order and out of order, old and new, and the last with SVE.
_CPUS = ["cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1", "neoverse-v1"]
ARMV7 = "armv7"
MACHINES = {
    **{cpu: {**_AARCH64, "mcpu": cpu} for cpu in _CPUS},
    ARMV7: {
        "kind": "llvm",
        "mtriple": "armv7l-linux-gnueabihf",
        "mfloat-abi": "hard",
        "mattr": ["+neon", "+vfp4"],
    },
}


def emulated(name: str) -> tvm.target.Target:
    """The target of a machine, or of a named target. Skips if a tool for it is missing."""
    found = target(MACHINES.get(name, name))
    try:
        toolchain.compiler(found, "c")
        machine.command(found)
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")
    return found


def function(operator: str, method: str, shape: Sequence[int | Expr]) -> tir.PrimFunc:
    """An operator of the registry for a tensor, along its last axis if it is over rows."""
    x = te.placeholder(shape, name="x")
    if OPERATORS[operator].elementwise:
        return te.create_prim_func([x, compute.elementwise(x, operator, method)])
    return te.create_prim_func([x, getattr(compute, operator)(x, method=method)])


def call(operator: str, name: str, x: np.ndarray) -> kernel.Call:
    """The call of such a function for ``x``."""
    shape = x.shape[:-1] if operator == "logsumexp" else x.shape
    return kernel.Call(name, [x], [(shape, "float32")])


def run(
    functions: Mapping[str, tir.PrimFunc], calls: Sequence[kernel.Call], on: tvm.target.Target
) -> list[np.ndarray]:
    """The first result of every call. The functions are scheduled for the machine."""
    scheduled = {name: schedule(each, on) for name, each in functions.items()}
    with tempfile.TemporaryDirectory() as folder:
        library = kernel.export(scheduled, on, Path(folder, "kernels.so"))
        return [results[0] for results in kernel.run_all(library, calls, on)]
