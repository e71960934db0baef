"""Dot products of groups of bytes: exact in every format, by the instruction of each target."""

import numpy as np
import pytest
import tvm
from tvm import s_tir, te

from quake_tvm.emulation import kernel
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.numerics.byte_dots import FORMATS, Format, fitting, formats_of
from tests.emulation.machines import MACHINES, emulated

COUNT = 4096
ON_X86 = ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
# Machines, and their fastest format.
ON_ARM = {"neoverse-v1": "unsigned", "neoverse-n1": "signed", "cortex-a72": "pairwise"}
EDGES = (-128, -127, -1, 0, 1, 127, 128, 255)
every_format = pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])


def operands(form: Format) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums, and elements of groups: random ones, and every pair of extreme ones."""
    rng = np.random.default_rng(0)

    def elements(dtype: str, turn: int) -> np.ndarray:
        low, high = (0, 256) if dtype == "uint8" else (form.smallest if turn else -128, 128)
        values = rng.integers(low, high, (COUNT, form.group))
        edges = [n for n in EDGES if low <= n < high]
        for k in range(len(edges) ** 2):
            values[k] = edges[k % len(edges) if turn else k // len(edges)]
        return values.astype(dtype)

    sums = rng.integers(-(2**30), 2**30, COUNT).astype(np.int32)
    return sums, elements(form.left, 0), elements(form.right, 1)


def scheduled(form: Format, lanes: int) -> tvm.tirx.PrimFunc:
    """A kernel for arrays of sums and of groups, in vectors."""
    c, a, b = (te.placeholder((COUNT,), "int32", name) for name in "cab")
    y = te.compute((COUNT,), lambda i: form.dot(c[i], a[i], b[i]), "y")
    sch = s_tir.Schedule(te.create_prim_func([c, a, b, y]))
    (loop,) = sch.get_loops(sch.get_sblock("y"))
    sch.vectorize(sch.split(loop, [None, lanes])[1])
    return sch.mod["main"]


def groups(values: np.ndarray) -> np.ndarray:
    return values.view(np.int32)[:, 0]


def exact(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return c + (a.astype(np.int64) * b).sum(1)


@every_format
@pytest.mark.parametrize("name", ON_X86)
def test_sums_are_exact(name: str, form: Format) -> None:
    on = target(name)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    c, a, b = operands(form)
    lanes = (1, 2, 4, 8, 16)
    mod = tvm.IRModule(
        {f"dot{n}": scheduled(form, n).with_attr("global_symbol", f"dot{n}") for n in lanes}
    )
    built = tvm.compile(mod, on)
    for n in lanes:
        result = tvm.runtime.empty((COUNT,), "int32")
        built[f"dot{n}"](*map(tvm.runtime.tensor, (c, groups(a), groups(b))), result)
        np.testing.assert_array_equal(result.numpy(), exact(c, a, b), f"{n} lanes")


@pytest.mark.parametrize("name", ON_ARM)
def test_arm_is_exact(name: str, tmp_path) -> None:
    on = emulated(name)
    assert formats_of(on)[0].name == ON_ARM[name]
    library = kernel.export({f.name: scheduled(f, 4) for f in FORMATS}, on, tmp_path / "dot.so")
    for form in FORMATS:
        c, a, b = operands(form)
        (found,) = kernel.run(
            library, form.name, [c, groups(a), groups(b)], [((COUNT,), "int32")], on
        )
        np.testing.assert_array_equal(found, exact(c, a, b), form.name)


def x86(cpu: str) -> dict:
    return {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": cpu}


ARM32 = {
    "kind": "llvm",
    "mtriple": "armv8.6a-linux-gnueabihf",
    "mcpu": "generic",
    "mattr": ["+v8.6a", "+neon", "+i8mm", "+dotprod"],
}


@pytest.mark.parametrize(
    ("on", "lanes", "instruction"),
    [
        (x86("znver4"), 16, "vpdpbusd"),
        (x86("alderlake"), 8, "vpdpbusd"),
        (x86("x86-64-v4"), 16, "vpmaddwd"),
        (x86("x86-64-v3"), 8, "vpmaddwd"),
        (x86("x86-64"), 4, "pmaddwd"),
        (MACHINES["neoverse-v1"], 4, "usdot"),
        (MACHINES["neoverse-n1"], 4, "sdot"),
        (MACHINES["cortex-a72"], 4, "sadalp"),
        (ARM32, 4, "vmla"),
    ],
    ids=["vnni", "avx_vnni", "avx512", "avx2", "sse2", "i8mm", "dotprod", "neon", "arm32"],
)
def test_the_instruction(on: dict, lanes: int, instruction: str) -> None:
    on = target(on)
    assembly = tvm.compile(scheduled(formats_of(on)[0], lanes), on).mod.inspect_source("asm")
    assert instruction in assembly


@every_format
def test_rows_are_grouped(form: Format) -> None:
    values = np.random.default_rng(0).integers(-128, 128, (7, 3)).astype(np.int8)
    grouped = form.grouped_rows(values)
    count = -(-7 // form.group)
    assert grouped.shape == (count, 3)
    elements = grouped.view(form.right).reshape(count, 3, form.group)
    rows = elements.transpose(0, 2, 1).reshape(-1, 3)
    np.testing.assert_array_equal(rows[:7], values)
    assert not rows[7:].any()


def test_a_format_for_all_bytes() -> None:
    forms = formats_of(target(MACHINES["cortex-a72"]))
    assert fitting(forms, np.array([-127, 127], np.int8)).name == "pairwise"
    assert fitting(forms, np.array([-128, 127], np.int8)).name == "wide"
    assert fitting(forms, np.zeros(0, np.int8)).name == "pairwise"
