"""Cycles of a sequence of instructions by ``llvm-mca``, LLVM's model of a processor's pipeline.

The model knows what executes how long and where; it takes every branch for foreseen and every load
for a hit in the first-level cache. Knows processors, no kernel.
"""

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import tvm

from ..errors import QuakeError

# Older ones lack models, and count every call as a hundred cycles.
OLDEST = 19
# The share of instructions that must be known: some models lack the atomic ones, and of an x86
# instruction that lies on two pages QEMU shows the first half.
KNOWN = 0.99
# LLVM has no model of these of its own, and takes that of the far narrower Cortex-A57.
_STAND_INS = {
    **dict.fromkeys(("cortex-a75", "cortex-a76", "cortex-a77", "cortex-a78"), "neoverse-n1"),
    "cortex-x1": "neoverse-n1",
    "x86-64-v2": "nehalem",
    "x86-64-v3": "haswell",
    "x86-64-v4": "skylake-avx512",
}
# Where the target names no processor.
_PLAIN = {"aarch64": "cortex-a53", "x86_64": "x86-64"}


def model(target: tvm.target.Target) -> str | None:
    """The processor whose model stands for the target; None for one without, as 32-bit ARM."""
    architecture = _triple(target).partition("-")[0]
    if architecture not in _PLAIN:
        return None
    name = str(target.attrs.get("mcpu") or _PLAIN[architecture])
    return _STAND_INS.get(name, name)


def version() -> str:
    """LLVM's, of the tools in use. Raises QuakeError where there are none."""
    return _llvm()[1]


def cycles(instructions: Sequence[str], target: tvm.target.Target) -> float:
    """The cycles of instructions executed one after the other.

    Parameters
    ----------
    instructions : sequence of str
        Each as its bytes in hexadecimal.
    target : tvm.target.Target
        Has a :func:`model`.

    Raises
    ------
    QuakeError
        Without llvm-mca, or where it knows the processor or its instructions not.
    """
    text = disassemble(set(instructions), target)
    options = [f"-mtriple={_triple(target)}", f"-mcpu={model(target)}", "-json", "-iterations=1"]
    options += ["-call-latency=0", "-skip-unsupported-instructions=lack-sched"]
    options += ["-instruction-info=false", "-resource-pressure=false"]
    done = _run("llvm-mca", target, options, "\n".join(text[w] for w in instructions if w in text))
    # Of a processor that it does not know it only warns.
    wrong = re.search(r"'[^']*' is not a recognized processor|(?<=error: ).*", done.stderr)
    if wrong or done.returncode:
        raise QuakeError(
            f"LLVM {version()} does not simulate {model(target)} ({wrong and wrong[0]}): "
            "install a newer llvm-mca, or choose another target"
        )
    (region,) = json.loads(done.stdout)["CodeRegions"]
    summary = region["SummaryView"]
    if summary["Instructions"] < KNOWN * len(instructions):
        raise QuakeError(f"LLVM {version()} knows too few instructions: install a newer llvm-mca")
    return summary["TotalCycles"] * len(instructions) / summary["Instructions"]


def disassemble(words: Iterable[str], target: tvm.target.Target) -> Mapping[str, str]:
    """The assembly of instructions that are given as bytes in hexadecimal: of those it knows."""
    words = sorted(words)
    atoms = [f"[{' '.join(f'0x{b:02x}' for b in bytes.fromhex(word))}]" for word in words]
    done = _run("llvm-mc", target, ["-disassemble", f"-triple={_triple(target)}"], "\n".join(atoms))
    unknown = {int(n) - 1 for n in re.findall(r"^<stdin>:(\d+):", done.stderr, re.MULTILINE)}
    known = [word for n, word in enumerate(words) if n not in unknown]
    lines = [line.strip() for line in done.stdout.splitlines()]
    return dict(zip(known, (s for s in lines if s and not s.startswith(".")), strict=True))


def _run(
    tool: str, target: tvm.target.Target, options: list[str], text: str
) -> subprocess.CompletedProcess[str]:
    command = [f"{tool}{_llvm()[0]}", *options]
    if _triple(target).startswith("aarch64"):
        command.append("-mattr=+all")  # what glibc looks for at run time as well
    return subprocess.run(command, input=text, capture_output=True, text=True)


def _triple(target: tvm.target.Target) -> str:
    return str(target.attrs.get("mtriple") or tvm.target.codegen.llvm_get_system_triple())


@functools.cache
def _llvm() -> tuple[str, str]:
    """What stands behind the names of the newest LLVM's tools, and that LLVM's version."""
    folders = map(Path, os.get_exec_path())
    names = {path.name for folder in folders for path in folder.glob("llvm-mca*")}
    suffixes = {name.removeprefix("llvm-mca") for name in names}
    found = []
    for suffix in suffixes:
        if re.fullmatch(r"(-\d+)?", suffix) and shutil.which(f"llvm-mc{suffix}"):
            command = [f"llvm-mca{suffix}", "--version"]
            said = subprocess.run(command, capture_output=True, text=True).stdout
            version = re.search(r"LLVM version (\d+(\.\d+)*)", said)
            if version:
                found.append((suffix, version[1]))
    newest = max(found, key=lambda tools: _numbers(tools[1]), default=("", "0"))
    if _numbers(newest[1])[0] < OLDEST:
        raise QuakeError(f"no llvm-mca of LLVM {OLDEST} or newer: apt install llvm-{OLDEST}")
    return newest


def _numbers(version: str) -> list[int]:
    return [int(n) for n in version.split(".")]
