"""Dot products of bfloat16 pairs: by the instruction, by two fmas, and on emulated ARM."""

import ml_dtypes
import numpy as np
import pytest
import tvm
from tvm import s_tir, te

from quake_tvm.emulation import kernel
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.numerics.bfloat16_pairs import (
    dot,
    joined,
    narrowed,
    packed_rows,
)
from quake_tvm.numerics.pair_instructions import has_instruction
from tests.emulation.machines import MACHINES, emulated

COUNT = 4096
ON_X86 = ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
# Whether the CPU has the instruction.
ON_ARM = {"neoverse-v1": True, "cortex-a72": False}


def operands() -> tuple[np.ndarray, ...]:
    """Sums, and pairs as two rows: cancellation, infinities and NaN, and no subnormal result."""
    rng = np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * 2.0 ** rng.integers(-8, 8, shape)).astype(np.float32)

    c, a, b = values(COUNT), values(2, COUNT), values(2, COUNT)
    narrow = [x.astype(ml_dtypes.bfloat16).astype(np.float32) for x in (a, b)]
    c[:500] = -narrow[0][1, :500] * narrow[1][1, :500]
    for k, value in enumerate((np.inf, -np.inf, np.nan, 3e38, 0.0, -0.0)):
        c[600 + k], a[0, 610 + k], b[1, 620 + k] = value, value, value
    return c, a, b


def exact(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """fma(even, fma(odd, c)). float64 holds each sum here, so that each is rounded once."""
    (even, odd), (left, right) = (x.astype(ml_dtypes.bfloat16).astype(np.float64) for x in (a, b))
    with np.errstate(over="ignore", invalid="ignore"):
        inner = (odd * right + c).astype(np.float32)
        return (even * left + inner).astype(np.float32)


def scheduled(lanes: int) -> tvm.tirx.PrimFunc:
    """A kernel for arrays of sums and of pairs, in vectors."""
    c = te.placeholder((COUNT,), "float32", "c")
    a, b = (te.placeholder((COUNT,), "int32", name) for name in "ab")
    y = te.compute((COUNT,), lambda i: dot(c[i], a[i], b[i]), "y")
    sch = s_tir.Schedule(te.create_prim_func([c, a, b, y]))
    (loop,) = sch.get_loops(sch.get_sblock("y"))
    sch.vectorize(sch.split(loop, [None, lanes])[1])
    return sch.mod["main"]


def narrowing(lanes: int) -> tvm.tirx.PrimFunc:
    """A kernel that rounds an array of float32, in vectors."""
    x = te.placeholder((COUNT,), "float32", "x")
    y = te.compute((COUNT,), lambda i: narrowed(x[i]), "y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]))
    (loop,) = sch.get_loops(sch.get_sblock("y"))
    sch.vectorize(sch.split(loop, [None, lanes])[1])
    return sch.mod["main"]


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found[found == 0]), np.signbit(wanted[wanted == 0]))


@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
@pytest.mark.parametrize("name", ON_X86)
def test_the_bits_are_those_of_two_fmas(name: str, lanes: int) -> None:
    on = target(name)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    c, a, b = operands()
    result = tvm.runtime.empty((COUNT,), "float32")
    pairs = (packed_rows(x)[0] for x in (a, b))
    tvm.compile(scheduled(lanes), on)["main"](*map(tvm.runtime.tensor, (c, *pairs)), result)
    same(result.numpy(), exact(c, a, b))


@pytest.mark.parametrize("name", ON_ARM)
def test_arm_has_the_same_bits(name: str, tmp_path) -> None:
    on = emulated(name)
    assert has_instruction(on) == ON_ARM[name]
    library = kernel.export({"dot": scheduled(4)}, on, tmp_path / "dot.so")
    c, a, b = operands()
    pairs = [packed_rows(x)[0] for x in (a, b)]
    (found,) = kernel.run(library, "dot", [c, *pairs], [((COUNT,), "float32")], on)
    same(found, exact(c, a, b))


ARM32_BF16 = {
    "kind": "llvm",
    "mtriple": "armv8.6a-linux-gnueabihf",
    "mcpu": "generic",
    "mattr": ["+v8.6a", "+neon", "+bf16"],
}


@pytest.mark.parametrize(
    ("on", "instruction"),
    [
        ({"kind": "llvm", "mcpu": "znver4"}, "vdpbf16ps"),
        ({"kind": "llvm", "mcpu": "znver3"}, "vfmadd"),
        (MACHINES["neoverse-v1"], "bfmlalt"),
        (MACHINES["cortex-a72"], "fmla"),
        (ARM32_BF16, "vfma"),
    ],
    ids=["avx512_bf16", "avx2", "bf16", "neon", "arm32"],
)
def test_the_instruction(on: dict, instruction: str) -> None:
    on = target(on)
    lanes = 16 if instruction == "vdpbf16ps" else 4
    assembly = tvm.compile(scheduled(lanes), on).mod.inspect_source("asm")
    assert instruction in assembly


def test_rows_are_paired() -> None:
    values = np.array([[1.0, -2.0], [3.1, np.inf], [5.0, 1e-40]], np.float32)
    pairs = packed_rows(values)
    halves = pairs.view(ml_dtypes.bfloat16).reshape(2, 2, 2)
    narrow = values.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(halves[:, :, 0], narrow[::2])
    np.testing.assert_array_equal(halves[0, :, 1], narrow[1])
    assert not halves[1, :, 1].any()


def test_a_kernel_packs_as_numpy_does() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, (2, COUNT), np.uint32).view(np.float32)
    x[np.isnan(x)] = 1
    even, odd = te.placeholder((COUNT,), name="even"), te.placeholder((COUNT,), name="odd")
    y = te.compute((COUNT,), lambda i: joined(narrowed(even[i]), narrowed(odd[i])), "y")
    result = tvm.runtime.empty((COUNT,), "int32")
    built = tvm.compile(te.create_prim_func([even, odd, y]), target())
    built["main"](*map(tvm.runtime.tensor, x), result)
    np.testing.assert_array_equal(result.numpy(), packed_rows(x)[0])


X86_LACKS = ["-avx512bf16", "-avx512vl", "-avx512dq", "-avx512bw"]
WITH_AND_WITHOUT = [
    {"kind": "llvm", "mcpu": "znver4"},
    *({"kind": "llvm", "mcpu": "znver4", "mattr": [feature]} for feature in X86_LACKS),
    {"kind": "llvm", "mcpu": "x86-64-v2"},
    *({**MACHINES["neoverse-v1"], "mattr": ["+neon", f]} for f in ("-bf16", "-fullfp16", "-sve")),
    ARM32_BF16,
]


@pytest.mark.parametrize("on", WITH_AND_WITHOUT, ids=lambda on: "".join(on.get("mattr", ["all"])))
def test_no_target_gets_an_instruction_that_it_lacks(on: dict) -> None:
    """LLVM would end the process."""
    on = target(on)
    kernels = {f"dot{n}": scheduled(n) for n in (1, 4, 8, 16)}
    kernels |= {f"narrow{n}": narrowing(n) for n in (1, 4, 8, 16, 32, 64, 128)}
    named = {name: f.with_attr("global_symbol", name) for name, f in kernels.items()}
    assembly = tvm.compile(tvm.IRModule(named), on).mod.inspect_source("asm")
    bfloat16 = any(name in assembly for name in ("vdpbf16ps", "bfmlalt", "vcvtneps2bf16", "bfcvtn"))
    assert bfloat16 == has_instruction(on)


@pytest.mark.parametrize("lanes", [1, 4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize("name", ON_X86)
def test_numbers_are_rounded_as_by_numpy(name: str, lanes: int) -> None:
    """Subnormal numbers too, which x86's instruction takes for zero, ties, infinities and NaN."""
    on = target(name)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    bits = np.random.default_rng(0).integers(0, 1 << 32, COUNT, np.uint32)
    bits[:1024] &= 0x80FFFFFF  # subnormal numbers, and normal ones of the least exponent
    bits[1024:2048] |= 0x7F000000
    bits[2048:2560] = bits[2048:2560] & 0xFFFF0000 | 0x8000
    bits[:8] = 0, 1 << 31, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x007FFFFF, 0x807FFFFF, 0x00008000
    x, result = bits.view(np.float32), tvm.runtime.empty((COUNT,), "uint16")
    tvm.compile(narrowing(lanes), on)["main"](tvm.runtime.tensor(x), result)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        found, wanted = result.numpy(), x.astype(ml_dtypes.bfloat16)
    is_nan = np.isnan(x)
    np.testing.assert_array_equal(found[~is_nan], wanted.view(np.uint16)[~is_nan])
    assert np.isnan(found[is_nan].view(ml_dtypes.bfloat16).astype(np.float32)).all()
