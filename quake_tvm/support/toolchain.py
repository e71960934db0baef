"""The C and C++ compiler for a target: the host's own, or a cross-compiler found on this machine.

They are tried in this order: the host's compiler for the host's own triple, Android's NDK, Debian's
cross compilers, clang on a Mac for Apple's triples, and zig for most others. Knows triples, no CPU
and no model.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import tvm

from ..errors import QuakeError

Language = Literal["c", "c++"]
_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}
_HOST_SYSTEM = {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")
# Android's API level if the triple has none: 7.0, which every 64-bit ARM phone since 2016 has.
_ANDROID_API = "24"


@dataclass(frozen=True)
class Triple:
    """An LLVM triple's parts, in one spelling: ``arm64-apple-macos11`` is aarch64, macos, ''."""

    architecture: str
    system: str
    abi: str

    @staticmethod
    def parse(text: str) -> "Triple":
        """Parse a triple with or without a vendor."""
        architecture, *parts = text.split("-")
        if architecture.startswith(("armv", "thumbv")):
            architecture = "arm"
        abi = next((part for part in parts if part.startswith(("gnu", "musl", "android"))), "")
        if "apple" in parts:
            system = "ios" if any(part.startswith("ios") for part in parts) else "macos"
        else:
            known = ("linux", "windows", "wasi")
            system = next((part for part in parts if part in known), "none")
        return Triple(_ARCHITECTURES.get(architecture, architecture), system, abi)

    @property
    def is_host(self) -> bool:
        """Whether this machine can run code of this triple."""
        own = platform.machine().lower()
        same = self.architecture == _ARCHITECTURES.get(own, own) and self.system == _HOST_SYSTEM
        return same and not self.abi.startswith(("musl", "android"))

    def __str__(self) -> str:
        return "-".join(part for part in (self.architecture, self.system, self.abi) if part)


def triple(target: tvm.target.Target) -> Triple:
    """The target's triple; the host's if the target has none."""
    text = target.attrs.get("mtriple") or tvm.target.codegen.llvm_get_system_triple()
    return Triple.parse(str(text))


def compiler(target: tvm.target.Target, language: Language = "c++") -> list[str]:
    """The command that compiles and links for a target.

    Parameters
    ----------
    target : tvm.target.Target
    language : {"c", "c++"}

    Returns
    -------
    list of str
        The command, without the compiler's arguments.

    Raises
    ------
    QuakeError
        If there is no compiler. The message names what to install.
    """
    machine = triple(target)
    for find in (_host, _ndk, _debian, _apple, _zig):
        command = find(machine, language)
        if command:
            return command
    raise QuakeError(f"no {language} compiler for {machine}: {_advice(machine)}")


def linker(target: tvm.target.Target) -> Callable[..., None]:
    """The ``fcompile`` argument of TVM's ``export_library``: links objects to a shared library.

    Raises
    ------
    QuakeError
        If there is no compiler, or for a machine where TVM loads no libraries.
    """
    machine = triple(target)
    if machine.system in ("wasi", "none"):
        raise QuakeError(f"TVM loads no libraries on {machine}: export for another target")
    command = compiler(target, "c")
    # TVM's runtime defines the library's undefined symbols; Apple's linker must be told.
    undefined = ["-undefined", "dynamic_lookup"] if machine.system == "macos" else []

    def link(output: str, objects: list[str], options: list[str] | None = None) -> None:
        shared = ["-shared", "-fPIC", *undefined, "-o", output, *objects, "-lm", *(options or [])]
        done = subprocess.run([*command, *shared], capture_output=True, text=True)
        if done.returncode != 0:
            reason = next(
                (line for line in done.stderr.splitlines() if "error" in line.lower()),
                done.stderr.strip() or f"exit status {done.returncode}",
            )
            raise QuakeError(f"{shlex.join(command)} cannot link: {reason.strip()[:200]}")

    return link


def _host(machine: Triple, language: Language) -> list[str]:
    if not machine.is_host:
        return []
    chosen = shlex.split(os.environ.get("CXX" if language == "c++" else "CC", ""))
    names = ("g++", "clang++", "c++") if language == "c++" else ("gcc", "clang", "cc")
    return _first([chosen[0]] if chosen else names, chosen[1:])


def _ndk(machine: Triple, language: Language) -> list[str]:
    home = os.environ.get("ANDROID_NDK_HOME")
    if not machine.abi.startswith("android") or not home:
        return []
    # 32-bit ARM is spelled armv7a-linux-androideabi24-clang.
    architecture = "armv7a" if machine.architecture == "arm" else machine.architecture
    abi = machine.abi if machine.abi[-1].isdigit() else machine.abi + _ANDROID_API
    name = f"{architecture}-linux-{abi}-clang" + ("++" if language == "c++" else "")
    found = sorted(Path(home).glob(f"toolchains/llvm/prebuilt/*/bin/{name}"))
    return [str(found[0])] if found else []


def _debian(machine: Triple, language: Language) -> list[str]:
    suffix = "g++" if language == "c++" else "gcc"
    return _first([f"{machine}-{suffix}"]) if machine.system == "linux" else []


def _apple(machine: Triple, language: Language) -> list[str]:
    if machine.system != "macos" or _HOST_SYSTEM != "macos":
        return []
    architecture = machine.architecture.replace("aarch64", "arm64")
    return _first(
        ["clang++" if language == "c++" else "clang"], ["-target", f"{architecture}-apple-macos"]
    )


def _zig(machine: Triple, language: Language) -> list[str]:
    # zig has the libraries of every system except Android.
    if machine.abi.startswith("android") or machine.system in ("ios", "none"):
        return []
    front = "c++" if language == "c++" else "cc"
    arguments = [front, "-target", str(machine)]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", *arguments]
    return _first(["zig"], arguments)


def _first(names: "list[str] | tuple[str, ...]", arguments: "list[str] | None" = None) -> list[str]:
    """The first of the programs that is installed, with its arguments."""
    return next(([name, *(arguments or [])] for name in names if shutil.which(name)), [])


def _advice(machine: Triple) -> str:
    if machine.abi.startswith("android"):
        return "set ANDROID_NDK_HOME to Android's NDK (developer.android.com/ndk)"
    if machine.system in ("ios", "none"):
        return "choose a target with an operating system that loads libraries"
    if machine.system == "linux":
        package = f"g++-{machine}".replace("_", "-")
        return f"apt install {'g++' if machine.is_host else package}, or pip install ziglang"
    return "pip install ziglang"
