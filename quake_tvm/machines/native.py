"""Describe this machine to LLVM, also where LLVM does not know its CPU.

LLVM names the CPU that it runs on. A CPU newer than LLVM it calls ``generic``, which stands for the
least that the architecture has; and the name of a known one promises what a hypervisor may have
masked. So the name, or that of a known relative, is corrected by the features that the machine
reports: none that it has is missing, and none that it lacks is left. Knows instruction sets, no
operator and no schedule.
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

# Names by which LLVM says that it does not know the CPU.
_UNKNOWN = ("", "generic", "x86-64", "i686", "generic-rv64", "generic-rv32")
# Known CPUs by architecture and vendor, each with all that those after it have. The first that has
# nothing which the machine lacks is its nearest relative; the last has what every machine has.
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
# What LLVM takes up unasked in arithmetic, by its own names: what else a CPU has, as protection
# keys or AMX, stands in no kernel.
_X86_ARITHMETIC = {
    *("adx", "bmi", "bmi2", "ccmp", "cf", "cmov", "egpr", "f16c", "gfni", "lzcnt", "mmx", "movbe"),
    *("ndd", "nf", "popcnt", "ppx", "push2pop2", "sahf", "tbm", "xop", "zu"),
}
_X86_VECTORS = ("avx", "fma", "sse", "ssse")
# Linux's names for the same on 64-bit ARM, to LLVM's.
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
    """What a machine and LLVM say of its CPU.

    Attributes
    ----------
    architecture : str
        ``"x86_64"``, ``"aarch64"``.
    cpu : str
        LLVM's name for it.
    vendor : str
        ``"amd"``, ``"intel"``, ``"apple"``; empty where it is unknown or of no interest.
    has, lacks : frozenset of str
        Features, by LLVM's names, of those that matter to arithmetic. Both are empty where the
        machine lists none.
    """

    architecture: str
    cpu: str
    vendor: str = ""
    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Words:
    """What TVM's target takes for a machine.

    Attributes
    ----------
    config : dict
        ``mcpu`` and, where the CPU's name does not say it all, ``mattr``.
    note : str
        What was corrected, in a sentence; empty if LLVM knows the CPU as it is.
    """

    config: dict[str, Any]
    note: str = ""


def examine() -> Machine:
    """Ask this machine, through LLVM and the system."""
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
    """What CPUID says, and the operating system lets programs use."""
    ask = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUFeatures", allow_missing=True)
    reported = {str(name): bool(there) for name, there in (ask().items() if ask else ())}
    known = {f for f in reported if f in _X86_ARITHMETIC or f.startswith(_X86_VECTORS)}
    has = frozenset(f for f in known if reported[f])
    return has, frozenset(known) - has


def arm_features(cpuinfo: str) -> tuple[frozenset[str], frozenset[str]]:
    """What Linux says that all cores of a 64-bit ARM have, and what it does not.

    Parameters
    ----------
    cpuinfo : str
        The text of ``/proc/cpuinfo``.

    Returns
    -------
    has, lacks : frozenset of str
        By LLVM's names; both empty if nothing is listed.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    listed = [set(words.split()) for name, _, words in lines if name.strip() == "Features"]
    if not listed:
        return frozenset(), frozenset()
    common = set.intersection(*listed)
    has = frozenset(ours for linux, ours in _ARM_ARITHMETIC.items() if linux in common)
    return has, frozenset(_ARM_ARITHMETIC.values()) - has


def features(target: "dict[str, object] | tvm.target.Target") -> frozenset[str]:
    """All that LLVM takes for granted in a target, or in what makes one."""
    if isinstance(target, dict):
        target = tvm.target.Target({"kind": "llvm", **target})
    return frozenset(map(str, tvm.target.codegen.llvm_get_cpu_features(target)))


@cache
def words(machine: Machine, mtriple: str | None) -> Words:
    """A machine in LLVM's words. Logs, once, what is not as LLVM has it.

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
        """What LLVM believes with one feature more: also all that it is built on."""
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
        masked = f"this machine is not all that {llvm} takes a {cpu} for: {corrections}"
        return masked if corrections else ""
    if not machine.has and machine.vendor != "apple":
        return (
            f"{llvm} does not know this CPU and the system lists no features: compiling for {cpu}, "
            "the least that there is; give the target another mcpu if the CPU can do more"
        )
    return f"{llvm} does not know this CPU: compiling for {cpu} {corrections}".rstrip()


def native() -> Words:
    """This machine in LLVM's words."""
    triple = native_triple()
    found = words(examine(), triple)
    return Words({**({"mtriple": triple} if triple else {}), **found.config}, found.note)
