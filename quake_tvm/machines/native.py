"""Describe this machine to LLVM, even if LLVM does not know its CPU.

LLVM names the CPU that it runs on. A CPU newer than LLVM is called ``generic``, which has only the
architecture's base features. The name of a known CPU may include features that a hypervisor masks.
So the features of the named CPU, or of a known relative, are corrected by the features that the
machine reports: missing ones are added, and ones that the machine lacks are removed. Knows
instruction sets, no operator and no schedule.
"""

import logging
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tvm

from ..support.toolchain import Triple
from ..tvm_version import llvm_knows, native_triple

logger = logging.getLogger(__name__)

# LLVM's names for a CPU that it does not know.
_UNKNOWN = ("", "generic", "x86-64", "i686", "generic-rv64", "generic-rv32")
# Known CPUs by architecture and vendor. Each has all features of the CPUs after it. The first CPU
# without a feature that the machine lacks is the nearest relative. The last has only features that
# every machine has.
_LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64")
_RELATIVES = {
    ("x86_64", "amd"): ("znver5", "znver4", "znver3", "znver2", "znver1", *_LEVELS),
    ("x86_64", "intel"): (
        "graniterapids",
        "sapphirerapids",
        "icelake-server",
        "cascadelake",
        "skylake-avx512",
        "alderlake",
        "haswell",
        *_LEVELS,
    ),
    ("x86_64", ""): _LEVELS,
    ("aarch64", ""): ("neoverse-v2", "neoverse-n2", "neoverse-v1", "neoverse-n1", "generic"),
    # Every Mac with an ARM CPU has at least this one; the system lists no features.
    ("aarch64", "apple"): ("apple-m1",),
}
# Features, by LLVM's names, that LLVM uses in arithmetic without being asked. Others, as protection
# keys or AMX, do not matter to kernels.
_X86_ARITHMETIC = {
    *("adx", "bmi", "bmi2", "ccmp", "cf", "cmov", "egpr", "f16c", "gfni", "lzcnt", "mmx", "movbe"),
    *("ndd", "nf", "popcnt", "ppx", "push2pop2", "sahf", "tbm", "xop", "zu"),
}
_X86_VECTORS = ("avx", "fma", "sse", "ssse")
# Linux's names of such features on 64-bit ARM, and LLVM's names.
_ARM_ARITHMETIC = {
    "fp": "fp-armv8",
    "asimd": "neon",
    "asimdhp": "fullfp16",
    "asimdrdm": "rdm",
    "asimddp": "dotprod",
    "asimdfhm": "fp16fml",
    "atomics": "lse",
    "bf16": "bf16",
    "cssc": "cssc",
    "fcma": "complxnum",
    "flagm": "flagm",
    "i8mm": "i8mm",
    "jscvt": "jsconv",
    "lrcpc": "rcpc",
    "mops": "mops",
    "sve": "sve",
    "sve2": "sve2",
    "svef32mm": "f32mm",
    "svef64mm": "f64mm",
}
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A machine's CPU, as the machine and LLVM describe it.

    Attributes
    ----------
    architecture : str
        ``"x86_64"``, ``"aarch64"``.
    cpu : str
        LLVM's name of the CPU.
    vendor : str
        ``"amd"``, ``"intel"``, ``"apple"``; empty if it is unknown or does not matter.
    has, lacks : frozenset of str
        The features that matter to arithmetic, by LLVM's names. Both are empty if the machine lists
        no features.
    """

    architecture: str
    cpu: str
    vendor: str = ""
    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Words:
    """A machine as options of TVM's target.

    Attributes
    ----------
    config : dict
        ``mcpu`` and, if the CPU's name is not enough, ``mattr``.
    note : str
        A sentence about the corrections; empty if there are none.
    """

    config: dict[str, Any]
    note: str = ""


def examine() -> Machine:
    """The CPU of this machine, as LLVM and the operating system report it."""
    cpu = str(tvm.target.codegen.llvm_get_system_cpu())
    architecture = Triple.parse(f"{platform.machine().lower()}-linux").architecture
    if architecture == "x86_64":
        vendor = str(tvm.target.codegen.llvm_get_system_x86_vendor())
        vendor = vendor if (architecture, vendor) in _RELATIVES else ""
        return Machine(architecture, cpu, vendor, *_x86_features())
    if sys.platform == "darwin":
        return Machine(architecture, cpu, "apple")
    if architecture == "aarch64" and _CPUINFO.is_file():
        return Machine(architecture, cpu, "", *arm_features(_CPUINFO.read_text()))
    return Machine(architecture, cpu)


def _x86_features() -> tuple[frozenset[str], frozenset[str]]:
    """The features that CPUID reports and the operating system enables, and the others."""
    ask = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUFeatures", allow_missing=True)
    reported = {str(name): bool(there) for name, there in (ask().items() if ask else ())}
    known = {f for f in reported if f in _X86_ARITHMETIC or f.startswith(_X86_VECTORS)}
    has = frozenset(f for f in known if reported[f])
    return has, frozenset(known) - has


def arm_features(cpuinfo: str) -> tuple[frozenset[str], frozenset[str]]:
    """The features that all cores of a 64-bit ARM machine have, and those that they lack.

    Parameters
    ----------
    cpuinfo : str
        The text of ``/proc/cpuinfo``.

    Returns
    -------
    has, lacks : frozenset of str
        By LLVM's names; both empty if no features are listed.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    listed = [set(words.split()) for name, _, words in lines if name.strip() == "Features"]
    if not listed:
        return frozenset(), frozenset()
    common = set.intersection(*listed)
    has = frozenset(ours for linux, ours in _ARM_ARITHMETIC.items() if linux in common)
    return has, frozenset(_ARM_ARITHMETIC.values()) - has


def features(target: "dict[str, object] | tvm.target.Target") -> frozenset[str]:
    """All features that LLVM assumes for a target, or for a target's configuration."""
    if isinstance(target, dict):
        target = tvm.target.Target({"kind": "llvm", **target})
    return frozenset(map(str, tvm.target.codegen.llvm_get_cpu_features(target)))


@cache
def words(machine: Machine, mtriple: str | None) -> Words:
    """A machine as target options. Logs a difference between LLVM's view and the machine once.

    Parameters
    ----------
    machine : Machine
    mtriple : str or None
        None for LLVM's default triple.

    Returns
    -------
    Words
    """
    triple = {"mtriple": mtriple} if mtriple else {}
    text = mtriple or str(tvm.target.codegen.llvm_get_system_triple())
    known = machine.cpu not in _UNKNOWN and llvm_knows(machine.cpu, text)
    cpu = machine.cpu if known else _relative(machine, triple, text)
    named = {**triple, "mcpu": cpu}
    claimed = features(named)

    def brings(feature: str) -> frozenset[str]:
        """The features that LLVM adds together with one feature, including those it depends on."""
        return features({**named, "mattr": [f"+{feature}"]}) - claimed

    more = [f"+{f}" for f in sorted(machine.has - claimed) if not brings(f) & machine.lacks]
    less = [f"-{f}" for f in sorted(machine.lacks & claimed)]
    config = {"mcpu": cpu, **({"mattr": more + less} if more + less else {})}
    note = _note(machine, known, cpu, more, less)
    if note:
        least = not known and not machine.has and machine.vendor != "apple"
        logger.log(logging.WARNING if least else logging.INFO, "%s", note)
    return Words(config, note)


def _relative(machine: Machine, triple: Mapping[str, object], text: str) -> str:
    place = machine.architecture, machine.vendor
    candidates = [cpu for cpu in _RELATIVES.get(place, ()) if llvm_knows(cpu, text)]
    if not machine.has and machine.vendor != "apple":
        candidates = candidates[-1:]
    fitting = (c for c in candidates if not features({**triple, "mcpu": c}) & machine.lacks)
    return next(fitting, machine.cpu or "generic")


def _note(machine: Machine, known: bool, cpu: str, more: list[str], less: list[str]) -> str:
    llvm = f"TVM's LLVM {tvm.target.codegen.llvm_version_major()}"
    corrections = " ".join(more + less)
    if known:
        masked = f"this machine differs from what {llvm} assumes of {cpu}: {corrections}"
        return masked if corrections else ""
    if not machine.has and machine.vendor != "apple":
        return (
            f"{llvm} does not know this CPU and the system lists no features: compiling for {cpu}, "
            "the least that there is; give the target another mcpu if the CPU can do more"
        )
    return f"{llvm} does not know this CPU: compiling for {cpu} {corrections}".rstrip()


def native() -> Words:
    """This machine as target options."""
    triple = native_triple()
    found = words(examine(), triple)
    return Words({**({"mtriple": triple} if triple else {}), **found.config}, found.note)
