"""Cycles of a sequence of instructions by ``llvm-mca``, LLVM's model of a processor's pipeline.

The model knows the latency and the execution units of instructions. It assumes that every branch is
predicted and every load hits the first-level cache. Knows processors, no kernel.
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

# Older versions of LLVM lack models, and count every call as a hundred cycles.
OLDEST = 19
# The share of instructions that must be known. Some models lack the atomic instructions, and QEMU
# shows only the first half of an x86 instruction that crosses a page.
KNOWN = 0.99
# LLVM has no model of these CPUs. For the Cortex ones it uses that of the much narrower Cortex-A57.
_STAND_INS = {
    **dict.fromkeys(("cortex-a75", "cortex-a76", "cortex-a77", "cortex-a78"), "neoverse-n1"),
    "cortex-x1": "neoverse-n1",
    "x86-64-v2": "nehalem",
    "x86-64-v3": "haswell",
    "x86-64-v4": "skylake-avx512",
}
# For targets without a processor.
_PLAIN = {"aarch64": "cortex-a53", "x86_64": "x86-64"}


def model(target: tvm.target.Target) -> str | None:
    """The processor whose model is used for the target; None for 32-bit ARM, which has none."""
    architecture = _triple(target).partition("-")[0]
    if architecture not in _PLAIN:
        return None
    name = str(target.attrs.get("mcpu") or _PLAIN[architecture])
    return _STAND_INS.get(name, name)


def version() -> str:
    """The version of LLVM's tools. Raises QuakeError if they are missing."""
    return _llvm()[1]


def cycles(instructions: Sequence[str], target: tvm.target.Target) -> float:
    """The cycles of instructions that are executed one after another.

    Parameters
    ----------
    instructions : sequence of str
        Each as its bytes in hexadecimal.
    target : tvm.target.Target
        Must have a :func:`model`.

    Returns
    -------
    float

    Raises
    ------
    QuakeError
        If llvm-mca is missing, or does not know the processor or its instructions.
    """
    text = disassemble(set(instructions), target)
    options = [f"-mtriple={_triple(target)}", f"-mcpu={model(target)}", "-json", "-iterations=1"]
    options += ["-call-latency=0", "-skip-unsupported-instructions=lack-sched"]
    options += ["-instruction-info=false", "-resource-pressure=false"]
    done = _run("llvm-mca", target, options, "\n".join(text[w] for w in instructions if w in text))
    # llvm-mca only warns about an unknown processor.
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
    """The assembly of instructions given as bytes in hexadecimal. Unknown ones are left out."""
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
        command.append("-mattr=+all")  # also for instructions that glibc selects at run time
    return subprocess.run(command, input=text, capture_output=True, text=True)


def _triple(target: tvm.target.Target) -> str:
    return str(target.attrs.get("mtriple") or tvm.target.codegen.llvm_get_system_triple())


@functools.cache
def _llvm() -> tuple[str, str]:
    """The suffix of the names of the newest LLVM's tools, and that LLVM's version."""
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
