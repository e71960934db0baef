"""Reads of a table of 256 bytes at vectors of bytes, by the target's byte shuffles.

A kernel reads ``T[x]`` with a vector x of uint8 as an index. TVM compiles this to one load for each
element. Here such a read becomes a call of LLVM IR: ``vpermi2b`` with AVX512-VBMI, ``pshufb`` with
AVX512-BW or AVX2, ``tbl`` and ``tbx`` on 64-bit ARM. Other targets keep the loads. The reads are
replaced in front of TVM's code generator, where vectors are known. Knows no operator and no
schedule.
"""

from collections.abc import Callable, Iterator
from functools import partial

import tvm
import tvm_ffi

from ..tvm_version import dtype_of, import_llvm, replace_build, tir, updated

ENTRIES = 256
_LOAD = "  %t{k} = load {part}, ptr %p{k}, align 1, !invariant.load !{{}}\n"


def _parts(lanes: int) -> Iterator[str]:
    """Loads of the table in parts of so many bytes: ``%t0``, ``%t1``, …"""
    for k in range(ENTRIES // lanes):
        yield f"  %p{k} = getelementptr i8, ptr %t, i64 {k * lanes}\n"
        yield _LOAD.format(k=k, part=f"<{lanes} x i8>")


def _same(lanes: int, value: int) -> str:
    return "<" + ", ".join([f"i8 {value}"] * lanes) + ">"


def _vbmi() -> str:
    v = "<64 x i8>"
    two = "call <64 x i8> @llvm.x86.avx512.vpermi2var.qi.512"
    return (
        f"declare {v} @llvm.x86.avx512.vpermi2var.qi.512({v}, {v}, {v})\n"
        f"define internal {v} @quake_table({v} %x, ptr %t) alwaysinline {{\n"
        + "".join(_parts(64))
        + f"  %low = {two}({v} %t0, {v} %x, {v} %t1)\n"
        f"  %high = {two}({v} %t2, {v} %x, {v} %t3)\n"
        f"  %upper = icmp slt {v} %x, zeroinitializer\n"
        f"  %r = select <64 x i1> %upper, {v} %high, {v} %low\n"
        f"  ret {v} %r\n}}\n"
    )


def _pshufb(lanes: int, shuffle: str) -> str:
    """Sixteen parts of the table, of 16 entries, by an instruction that reads one of them.

    It reads by the low four bits of a byte, and gives zero for a negative one. The first eight
    parts serve the bytes that are not negative. A byte loses 16 from part to part, and stops at
    -128. So it reads all parts up to its own. All but the first of these hold differences, by
    exclusive or, and the exclusive or of what is read is the entry. The others serve the bytes with
    the sign turned.
    """
    v = f"<{lanes} x i8>"
    less = f"@llvm.ssub.sat.v{lanes}i8"
    copies = f"<{lanes} x i32> <" + ", ".join(f"i32 {k % 16}" for k in range(lanes)) + ">"
    text = (
        f"declare {v} @{shuffle}({v}, {v})\n"
        f"declare {v} {less}({v}, {v})\n"
        f"define internal {v} @quake_table({v} %x, ptr %t) alwaysinline {{\n"
        + "".join(_parts(16))
        + f"  %turned = xor {v} %x, {_same(lanes, -128)}\n"
    )
    first = {0: "%x", 8: "%turned"}
    found = "zeroinitializer"
    for k in range(16):
        at, part = first.get(k, f"%x{k}"), f"%t{k}"
        if k not in first:
            before = first.get(k - 1, f"%x{k - 1}")
            text += f"  %x{k} = call {v} {less}({v} {before}, {v} {_same(lanes, 16)})\n"
            text += f"  %d{k} = xor <16 x i8> %t{k}, %t{k - 1}\n"
            part = f"%d{k}"
        text += (
            f"  %w{k} = shufflevector <16 x i8> {part}, <16 x i8> poison, {copies}\n"
            f"  %r{k} = call {v} @{shuffle}({v} %w{k}, {v} {at})\n"
            f"  %y{k} = xor {v} %r{k}, {found}\n"
        )
        found = f"%y{k}"
    return text + f"  ret {v} {found}\n}}\n"


def _arm() -> str:
    """Four tables of 64 entries. Where an index is beyond one, tbx keeps what is there."""
    v = "<16 x i8>"

    def four(k: int) -> str:
        return ", ".join(f"{v} %t{4 * k + j}" for j in range(4))

    text = (
        f"declare {v} @llvm.aarch64.neon.tbl4.v16i8({v}, {v}, {v}, {v}, {v})\n"
        f"declare {v} @llvm.aarch64.neon.tbx4.v16i8({v}, {v}, {v}, {v}, {v}, {v})\n"
        f"define internal {v} @quake_table({v} %x, ptr %t) alwaysinline {{\n"
        + "".join(_parts(16))
        + f"  %r0 = call {v} @llvm.aarch64.neon.tbl4.v16i8({four(0)}, {v} %x)\n"
    )
    for k in range(1, 4):
        text += f"  %x{k} = xor {v} %x, {_same(16, 64 * k)}\n"
        text += (
            f"  %r{k} = call {v} @llvm.aarch64.neon.tbx4.v16i8({v} %r{k - 1}, {four(k)}, "
            f"{v} %x{k})\n"
        )
    return text + f"  ret {v} %r3\n}}\n"


# For each LLVM feature: the lanes of its function, and the function.
_INSTRUCTIONS: dict[str, tuple[int, Callable[[], str]]] = {
    "avx512vbmi": (64, _vbmi),
    "avx512bw": (64, partial(_pshufb, 64, "llvm.x86.avx512.pshuf.b.512")),
    "avx2": (32, partial(_pshufb, 32, "llvm.x86.avx2.pshuf.b")),
    "neon": (16, _arm),
}


def lanes_of(target: tvm.target.Target) -> int | None:
    """How many bytes one read takes on a target; None if it has no instruction for it."""
    found = _instruction(target)
    return None if found is None else found[0]


def _instruction(target: tvm.target.Target) -> tuple[int, Callable[[], str]] | None:
    has = tvm.target.codegen.target_has_features
    if has("vfp4", target):  # 32-bit ARM, whose tables are smaller
        return None
    return next((code for name, code in _INSTRUCTIONS.items() if has(name, target)), None)


def _name(lanes: int) -> str:
    return f"quake_table_{lanes}"


def _of_lanes(lanes: int, native: int) -> str:
    """A function for vectors of another length, which calls that of the native length."""
    whole, part, table = f"<{lanes} x i8>", f"<{native} x i8>", "ptr %t"
    text = f"define internal {whole} @{_name(lanes)}({whole} %x, {table}) alwaysinline {{\n"
    starts = range(0, lanes, native)
    for k, start in enumerate(starts):
        taken = ", ".join(f"i32 {min(start + j, lanes - 1)}" for j in range(native))
        mask = f"<{native} x i32> <{taken}>"
        text += f"  %i{k} = shufflevector {whole} %x, {whole} poison, {mask}\n"
        text += f"  %y{k} = call {part} @quake_table({part} %i{k}, {table})\n"
    joined = "%y0"
    for k in range(1, len(starts)):
        width, first = native * k, native * (k + 1)
        rest = ", ".join(f"i32 {j}" if j < native else "i32 poison" for j in range(width))
        text += (
            f"  %e{k} = shufflevector {part} %y{k}, {part} poison, <{width} x i32> <{rest}>\n"
            f"  %j{k} = shufflevector <{width} x i8> {joined}, <{width} x i8> %e{k}, "
            f"<{first} x i32> <" + ", ".join(f"i32 {j}" for j in range(first)) + ">\n"
        )
        joined = f"%j{k}"
    size = native * len(starts)
    taken = ", ".join(f"i32 {j}" for j in range(lanes))
    text += (
        f"  %r = shufflevector <{size} x i8> {joined}, <{size} x i8> poison, "
        f"<{lanes} x i32> <{taken}>\n"
    )
    return text + f"  ret {whole} %r\n}}\n"


def _bytes_read(load: tvm.ir.TensorLoad) -> tir.Expr | None:
    """The vector of bytes at which a table is read, if this is such a read."""
    buffer, indices = load.source, load.indices
    if len(indices) != 1 or [getattr(n, "value", 0) for n in buffer.shape] != [ENTRIES]:
        return None
    if dtype_of(buffer) not in ("int8", "uint8") or not isinstance(indices[0], tir.Cast):
        return None
    at = indices[0].value
    kind = tvm.DataType(dtype_of(at))
    return at if kind.lanes > 1 and str(kind) == f"uint8x{kind.lanes}" else None


def _prepare(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Replace reads of tables in a lowered module by calls of the target's function."""
    instruction = _instruction(target)
    if instruction is None:
        return mod
    native, source = instruction
    used: set[int] = set()

    def replace(load: tvm.ir.TensorLoad) -> tir.Expr:
        at = _bytes_read(load)
        if at is None:
            return load
        lanes = tvm.DataType(dtype_of(at)).lanes
        used.add(lanes)
        return tir.call_pure_extern(dtype_of(load), _name(lanes), at, load.source.data)

    functions = {
        name: function.with_body(
            tvm_ffi.structural_map(function.body, (tvm.ir.TensorLoad, replace))
        )
        for name, function in mod.functions.items()
        if isinstance(function, tir.PrimFunc)
    }
    if not used:
        return mod
    text = source() + "".join(_of_lanes(lanes, native) for lanes in sorted(used))
    first = next(iter(functions))
    functions[first] = functions[first].with_body(import_llvm(text, functions[first].body))
    return updated(mod, functions)


replace_build("llvm", _prepare)
