"""The processors that tests emulate, and a way to run kernels on one: one library, one process."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm import compute, toolchain
from quake_tvm.emulation import kernel, machine
from quake_tvm.errors import QuakeError
from quake_tvm.named_targets import target
from quake_tvm.operators import OPERATORS
from quake_tvm.schedules import schedule

_AARCH64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"]}
# Two of every kind: in order and out of order, old and new, and one with SVE.
AARCH64 = ["cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1", "neoverse-v1"]
ARMV7 = "armv7"
MACHINES = {
    **{cpu: {**_AARCH64, "mcpu": cpu} for cpu in AARCH64},
    ARMV7: {
        "kind": "llvm",
        "mtriple": "armv7l-linux-gnueabihf",
        "mfloat-abi": "hard",
        "mattr": ["+neon", "+vfp4"],
    },
}


def emulated(name: str) -> tvm.target.Target:
    """A machine's target; the test is skipped where a tool for it is missing."""
    found = target(MACHINES.get(name, name))
    try:
        toolchain.compiler(found, "c")
        machine.command(found)
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")
    return found


@dataclass(frozen=True)
class Kernel:
    """A kernel to compile, and what to call it with.

    Attributes
    ----------
    name : str
        Of the call: many may share one kernel.
    inputs : sequence of te.Tensor
    output : te.Tensor
    arrays : sequence of np.ndarray
    shape : tuple of int
        The output's.
    """

    name: str
    inputs: Sequence[te.Tensor]
    output: te.Tensor
    arrays: Sequence[np.ndarray]
    shape: tuple[int, ...]


def operator_kernel(
    operator: str, method: str, x: np.ndarray, name: str, static: bool = True
) -> Kernel:
    """An operator of the registry on an array, along its last axis if it is over rows."""
    axes = x.shape if static else [te.var(f"n{k}", dtype="int64") for k in range(x.ndim)]
    tensor = te.placeholder(axes, name="x")
    if OPERATORS[operator].elementwise:
        output = compute.elementwise(tensor, operator, method)
    else:
        output = getattr(compute, operator)(tensor, method=method)
    return Kernel(name, [tensor], output, [x], x.shape[: len(output.shape)])


def run(kernels: Sequence[Kernel], on: tvm.target.Target) -> dict[str, np.ndarray]:
    """Every kernel's result on a machine, by name."""
    symbols = [re.sub(r"\W", "_", each.name) for each in kernels]
    functions = {
        symbol: schedule(te.create_prim_func([*each.inputs, each.output]), on)
        for symbol, each in zip(symbols, kernels, strict=True)
    }
    calls = [
        kernel.Call(symbol, each.arrays, [(each.shape, "float32")])
        for symbol, each in zip(symbols, kernels, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        library = kernel.export(functions, on, Path(folder, "kernels.so"))
        results = kernel.run_all(library, calls, on)
    return {each.name: y for each, (y,) in zip(kernels, results, strict=True)}
