"""Operators in half precision give the same bits on every machine.

With instructions that convert float16 or bfloat16 and without: each element-wise operator on all
65,536 inputs gives the hash in ``half_bounds.json``, and each operator over rows the rounded result
of its float32 kernel.
"""

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.accuracy import halves
from quake_tvm.accuracy.standalone import build
from quake_tvm.emulation import kernel
from quake_tvm.kernels import compute
from quake_tvm.machines.targets import features, runs_here, target
from quake_tvm.numerics import half_bounds
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.number_formats import HALVES
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.schedules import schedule
from tests.emulation.machines import emulated

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]
# Short rows, long ones, and a length that is no multiple of a chunk.
SHAPES = (64, 128), (5, 37), (3, 400)
N2 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "neoverse-n2", "mattr": ["+neon"]}
V4 = {"kind": "llvm", "mcpu": "x86-64-v4", "mattr": ["+avx512bf16"]}
# Each machine's instructions for arithmetic in half precision.
MACHINES = {
    "x86-64-v3": ("x86-64-v3", set()),
    "x86-64-v4": ("x86-64-v4", set()),
    "x86-64-v4-bf16": (json.dumps(V4), {"bf16"}),
    "cortex-a53": ("cortex-a53", set()),
    "cortex-a72": ("cortex-a72", set()),
    "neoverse-n1": ("neoverse-n1", {"fp16"}),
    "neoverse-n2": (json.dumps(N2), {"fp16", "bf16"}),
}
# One machine without instructions for bfloat16 and one with them, each of another architecture. The
# rung decides the formula in float32, of which test_bits has every rung on every machine, and the
# machine the conversions around it. The others have all rungs with -m sweep.
WHOLE = {"x86-64-v3", "neoverse-n2"}
EVERY, ONE = tuple(METHODS), ("quake2",)
CASES = [
    *((machine, EVERY if machine in WHOLE else ONE) for machine in MACHINES),
    *(
        pytest.param(machine, EVERY, marks=pytest.mark.sweep)
        for machine in MACHINES
        if machine not in WHOLE
    ),
]
on_machines = pytest.mark.parametrize(
    ("machine", "methods"), CASES, ids=lambda value: value if isinstance(value, str) else len(value)
)


def rows(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Rows like those of a trained model. The first few have a special value."""
    x = np.random.default_rng(0).normal(0, 4, shape).astype(dtype)
    x[0, 1], x[1, 2], x[2, 0] = np.nan, np.inf, -np.inf
    return x


def over_rows(operator: str, method: str, dtype: str, shape: tuple[int, ...]) -> list[te.Tensor]:
    x = te.placeholder(shape, dtype, "x")
    return [x, getattr(compute, operator)(x, method=method)]


def _functions(methods: tuple[str, ...]) -> dict[str, tuple[list[te.Tensor], np.ndarray]]:
    """All kernels by name, each with its input."""
    found = {}
    for dtype in sorted(HALVES):
        x = halves.every_value(dtype)
        for method in methods:
            for operator in ELEMENTWISE:
                tensors = halves.tensors(operator, method, dtype, len(x))
                found[f"{operator}_{method}_{dtype}"] = tensors, x
            for operator in ROWS:
                for shape in SHAPES:
                    name = f"{operator}_{method}_{dtype}_{shape[-1]}"
                    found[name] = over_rows(operator, method, dtype, shape), rows(shape, dtype)
    return found


@functools.cache
def results(machine: str, methods: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The result of every kernel on a machine. All are compiled as one library."""
    name, _ = MACHINES[machine]
    on = target(name) if machine.startswith("x86") else emulated(name)
    if machine.startswith("x86") and not runs_here(on):
        pytest.skip(f"this machine does not run {machine}")
    kernels = _functions(methods)
    scheduled = {
        key: schedule(te.create_prim_func(tensors), on) for key, (tensors, _) in kernels.items()
    }
    calls = [
        kernel.Call(key, [x], [([int(n) for n in tensors[1].shape], str(tensors[1].dtype))])
        for key, (tensors, x) in kernels.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        library = kernel.export(scheduled, on, Path(folder, "kernels.so"))
        found = kernel.run_all(library, calls, on)
    return dict(zip(kernels, (each[0] for each in found), strict=True))


@functools.cache
def _float32(operator: str, method: str, shape: tuple[int, ...]) -> Callable[..., np.ndarray]:
    x, y = over_rows(operator, method, "float32", shape)
    return build([x], y, target())


@pytest.mark.parametrize("machine", MACHINES)
def test_instructions(machine: str) -> None:
    name, has = MACHINES[machine]
    assert (
        set(features(target(name) if machine[0] == "x" else emulated(name)))
        & {
            "fp16",
            "bf16",
        }
        == has
    )


@pytest.mark.slow
@on_machines
@pytest.mark.parametrize("dtype", sorted(HALVES))
def test_every_input(machine: str, methods: tuple[str, ...], dtype: str) -> None:
    found = results(machine, methods)
    for operator in ELEMENTWISE:
        for method in methods:
            recorded = half_bounds.of(operator, method, dtype)["hash"]
            assert halves.digest(found[f"{operator}_{method}_{dtype}"]) == recorded, method


@pytest.mark.slow
@on_machines
@pytest.mark.parametrize("dtype", sorted(HALVES))
@pytest.mark.parametrize("operator", ROWS)
def test_rows_are_those_of_float32_rounded(
    machine: str, methods: tuple[str, ...], dtype: str, operator: str
) -> None:
    found = results(machine, methods)
    for shape in SHAPES:
        x = rows(shape, dtype).astype(np.float32)
        for method in methods:
            with np.errstate(all="ignore"):
                wanted = _float32(operator, method, shape)(x).astype(dtype)
            key = f"{operator}_{method}_{dtype}_{shape[-1]}"
            assert halves.digest(found[key]) == halves.digest(wanted), key


@pytest.mark.slow
@pytest.mark.parametrize("dtype", sorted(HALVES))
@pytest.mark.parametrize("operator", ROWS)
def test_rows_of_any_length(operator: str, dtype: str) -> None:
    n, m = te.var("n", dtype="int64"), te.var("m", dtype="int64")
    x, y = over_rows(operator, "quake2", dtype, (n, m))
    run = tvm.compile(schedule(te.create_prim_func([x, y]), target()), target())["main"]
    for shape in ((5, 37), (3, 400), (3, 3)):
        values = rows(shape, dtype)
        with np.errstate(all="ignore"):
            wanted = _float32(operator, "quake2", shape)(values.astype(np.float32)).astype(dtype)
        result = tvm.runtime.empty(wanted.shape, dtype)
        run(tvm.runtime.tensor(values), result)
        assert halves.digest(result.numpy()) == halves.digest(wanted), shape
