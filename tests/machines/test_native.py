"""LLVM's description of this machine, for unknown CPUs and for known ones with masked features."""

import json
import logging
import re

import pytest
import tvm

from quake_tvm.machines import native
from quake_tvm.machines.native import Machine
from quake_tvm.machines.targets import features, lanes, runs_here, target, vectors
from quake_tvm.tvm_version import RELAY

from ..numerics import test_bits
from .test_targets import ARITHMETIC, library


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


V1 = names("cmov mmx sse sse2")
V2 = V1 | names("popcnt sahf sse3 sse4.1 sse4.2 ssse3")
V3 = V2 | names("avx avx2 bmi bmi2 f16c fma lzcnt movbe")
V4 = V3 | names("avx512bw avx512cd avx512dq avx512f avx512vl")
ZEN4 = V4 | names("adx avx512bf16 avx512bitalg avx512ifma avx512vbmi avx512vbmi2 avx512vnni")
ZEN4 |= names("avx512vpopcntdq gfni sse4a")
ZEN6 = ZEN4 | {"avx512fp16", "avx512vp2intersect", "avxvnni", "avxvnniint8"}
X86 = ZEN6 | {"fma4", "tbm", "xop"}
# Names of features as Linux lists them.
A53 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
A55 = A53 + " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
ARMV9 = A55 + (
    " jscvt fcma sha3 sm3 sm4 sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp "
    "sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svebf16 i8mm bf16 dgh bti"
)
ARM_TRIPLE = "aarch64-linux-gnu"


def x86(has: frozenset[str], cpu: str = "generic", vendor: str = "") -> Machine:
    return Machine("x86_64", cpu, vendor, has, X86 - has)


def arm(flags: str, cpu: str = "generic") -> Machine:
    cpuinfo = f"processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: {flags}\nCPU part\t: 0xfff\n\n"
    return Machine("aarch64", cpu, "", *native.arm_features(cpuinfo))


def resolved(machine: Machine) -> tvm.target.Target:
    triple = ARM_TRIPLE if machine.architecture == "aarch64" else "x86_64-linux-gnu"
    config = native.words(machine, triple).config
    # users may pass the target as JSON
    return target(json.dumps({"kind": "llvm", "mtriple": triple, **config}))


# Machine; the expected CPU names, by what LLVM knows; vectors; features.
MADE_UP = {
    "zen 6": (x86(ZEN6, vendor="amd"), ("znver5", "znver4"), "AVX-512", "fma fp16 bf16 dotprod"),
    "a server of Intel's": (
        x86(X86 - {"fma4", "tbm", "xop", "sse4a"}, vendor="intel"),
        ("graniterapids",),
        "AVX-512",
        "fma fp16 bf16 dotprod",
    ),
    "hybrid without AVX-512": (
        x86(V3 | {"adx", "avxvnni", "gfni"}, vendor="intel"),
        ("alderlake",),
        "AVX2",
        "fma",
    ),
    "of a third vendor": (x86(V4 | {"avx512vnni"}), ("x86-64-v4",), "AVX-512", "fma dotprod"),
    "before AVX2": (x86(V2 | {"avx", "f16c"}, vendor="intel"), ("x86-64-v2",), "AVX", ""),
    "the oldest": (x86(V1, vendor="amd"), ("x86-64",), "SSE", ""),
    "taken for less": (x86(V3, "x86-64"), ("x86-64-v3",), "AVX2", "fma"),
    "a name of another LLVM": (x86(ZEN6, "znver9", "amd"), ("znver5", "znver4"), "AVX-512", None),
    "masked": (x86(V3 | {"sse4a", "adx"}, "znver4", "amd"), ("znver4",), "AVX2", "fma"),
    "masked to SSE": (x86(V2 | {"sse4a"}, "znver3", "amd"), ("znver3",), "SSE", ""),
    "masked without sense": (x86(V4 - {"fma"}), ("x86-64-v2",), "AVX2", ""),
    "more than its name": (x86(ZEN4, "skylake-avx512"), ("skylake-avx512",), "AVX-512", None),
    "ARM server": (
        arm(ARMV9),
        ("neoverse-v2", "neoverse-n2"),
        "NEON",
        "fma fp16 bf16 dotprod i8mm sve",
    ),
    "ARM server without SVE": (
        arm(" ".join(f for f in ARMV9.split() if not f.startswith("sve"))),
        ("neoverse-n1",),
        "NEON",
        "fma fp16 bf16 dotprod i8mm",
    ),
    "little ARM": (arm(A55), ("neoverse-n1",), "NEON", "fma fp16 dotprod"),
    "first 64-bit ARM": (arm(A53), ("generic",), "NEON", "fma"),
    "ARM with SVE masked": (
        arm(" ".join(f for f in ARMV9.split() if not f.startswith("sve")), "neoverse-v1"),
        ("neoverse-v1",),
        "NEON",
        "fma fp16 bf16 dotprod i8mm",
    ),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_cpus(name):
    machine, cpus, unit, others = MADE_UP[name]
    on = resolved(machine)
    assert str(on.attrs["mcpu"]) in cpus
    believed = native.features(on)
    assert not believed & machine.lacks
    sane = name != "masked without sense"  # AVX-512 implies FMA
    assert machine.has <= believed or not sane
    assert vectors(on) == unit
    assert others is None or features(on) == others.split()


@pytest.mark.parametrize("name", ["zen 6", "masked", "before AVX2", "ARM server", "little ARM"])
def test_code_for_made_up_cpus(name):
    on = resolved(MADE_UP[name][0])
    asm = (library(on).get_source if RELAY else library(on).inspect_source)("asm")
    architecture = MADE_UP[name][0].architecture
    by_unit = ARITHMETIC | {"x86_64 AVX": r"\bv(?:add|mul|sub)ps\b.*%ymm"}
    assert re.search(by_unit[f"{architecture} {vectors(on)}"], asm)
    fused = r"\bvfn?m(?:add|sub)\w+[sp]s\b" if architecture == "x86_64" else r"\bfml[as]\b"
    assert bool(re.search(fused, asm)) == ("fma" in features(on))


def test_a_cpu_that_lists_no_features_is_taken_for_the_least():
    for architecture, cpu in {"x86_64": "x86-64", "aarch64": "generic"}.items():
        on = resolved(Machine(architecture, "generic"))
        assert str(on.attrs["mcpu"]) == cpu
        assert not on.attrs.get("mattr")
    known = resolved(Machine("x86_64", "znver3", "amd"))
    assert (str(known.attrs["mcpu"]), vectors(known)) == ("znver3", "AVX2")


def test_any_mac_is_at_least_the_first():
    found = native.words(Machine("aarch64", "generic", "apple"), "aarch64-apple-macos")
    assert found.config == {"mcpu": "apple-m1"}
    assert "does not know" in found.note


@pytest.mark.parametrize(
    ("machine", "level", "said"),
    [
        (x86(ZEN6, vendor="amd"), logging.INFO, r"does not know this CPU.* znver\d .*\+avxvnni"),
        (x86(V3, "znver4", "amd"), logging.INFO, r"differs from what .* znver4: .*-avx512f"),
        (Machine("x86_64", "generic"), logging.WARNING, "lists no features.* x86-64, the least"),
        (x86(V3 | {"sse4a", "adx"}, "znver3", "amd"), None, None),
    ],
)
def test_corrections_are_logged_once(machine, level, said, caplog):
    native.words.cache_clear()
    with caplog.at_level(logging.INFO, "quake_tvm"):
        for _ in range(2):
            native.words(machine, "x86_64-linux-gnu")
    if level is None:
        assert not caplog.records
    else:
        (record,) = caplog.records
        assert record.levelno == level
        assert re.search(said, record.getMessage())


def test_cores_of_two_kinds_have_what_both_have():
    cores = [f"processor : {k}\nFeatures : {flags}\n\n" for k, flags in enumerate((ARMV9, A55))]
    assert native.arm_features("".join(cores)) == native.arm_features(f"Features : {A55}\n")
    assert native.arm_features("processor : 0\nisa : rv64gc\n") == (frozenset(), frozenset())


def test_this_machine_has_what_it_is_said_to_have():
    machine, on = native.examine(), target()
    assert machine.has <= native.features(on)
    assert not machine.lacks & native.features(on)
    assert runs_here(on)


@pytest.fixture
def unknown(monkeypatch):
    """This machine, as if its CPU were newer than LLVM."""
    machine = native.examine()
    newer = Machine(machine.architecture, "generic", "", machine.has, machine.lacks)
    monkeypatch.setattr(native, "examine", lambda: newer)
    return newer


def test_an_unknown_cpu_has_the_vectors_and_the_bits_of_a_known_one(unknown, monkeypatch):
    on = target()
    monkeypatch.undo()
    assert (lanes(on), features(on)) == (lanes(target()), features(target()))
    golden = json.loads(test_bits.GOLDEN.read_text())
    for name, (x, operators) in test_bits.INPUTS.items():
        found = test_bits.build(operators, "quake3", x.shape, on)(x)
        for operator, y in zip(operators, found, strict=True):
            assert test_bits.sha(y) == golden[f"{operator} quake3 {name}"]["bits"]
