"""ARM's clamps and conversions replace expressions with the same meaning, and no others."""

import pytest
import tvm
from tvm.script import tirx as T

from quake_tvm.machines.targets import target
from quake_tvm.schedules.instructions import choose_instructions


@T.prim_func(s_tir=True)
def before(a: T.Buffer((8,), "float32"), b: T.Buffer((8,), "float32"), k: T.Buffer((8,), "int32")):
    for i in range(8):
        b[i] = T.min(T.float32(88), T.max(T.float32(-87), a[i]))
    for i in range(8):
        b[i] = T.max(b[i], T.float32(1))  # a NaN must become 1
    for i in range(8):
        b[i] = T.max(T.float32(0), b[i])  # the sign of a zero must be kept
    for i in range(8):
        b[i] = T.max(b[i], a[i])
    for i in range(8):
        k[i] = T.Cast("int32", T.max(T.float32(0), a[i]))
    for i in range(8):
        k[i] = T.max(3, k[i])


@T.prim_func(s_tir=True)
def on_aarch64(
    a: T.Buffer((8,), "float32"), b: T.Buffer((8,), "float32"), k: T.Buffer((8,), "int32")
):
    for i in range(8):
        b[i] = T.call_llvm_pure_intrin(
            "float32",
            "llvm.minimum",
            T.float32(88),
            T.call_llvm_pure_intrin("float32", "llvm.maximum", T.float32(-87), a[i]),
        )
    for i in range(8):
        b[i] = T.max(b[i], T.float32(1))
    for i in range(8):
        b[i] = T.max(T.float32(0), b[i])
    for i in range(8):
        b[i] = T.max(b[i], a[i])
    for i in range(8):
        k[i] = T.reinterpret("int32", T.call_llvm_pure_intrin("uint32", "llvm.fptoui.sat", a[i]))
    for i in range(8):
        k[i] = T.max(3, k[i])


def same(found, expected):
    tvm.ir.assert_structural_equal(found.body, expected.body, map_free_vars=True)


def test_aarch64_has_both():
    same(choose_instructions(before, target("aarch64"), over_rows=False), on_aarch64)


@pytest.mark.parametrize("name", ["x86-64-v3", "riscv64"])
def test_others_have_neither(name):
    same(choose_instructions(before, target(name), over_rows=True), before)


def test_armv7_converts_vectors_only_to_signed_integers():
    found = str(choose_instructions(before, target("armv7"), over_rows=False))
    assert "llvm.maximum" in found
    assert "fptoui" not in found


def test_over_rows_a_nan_may_spread():
    found = str(choose_instructions(before, target("aarch64"), over_rows=True))
    assert found.count("llvm.maximum") == 2
