"""The emulator for a target, and the system libraries that its programs need.

Knows triples and QEMU, nothing of what is run.
"""

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import tvm

from ..errors import QuakeError
from ..support.toolchain import triple


@dataclass(frozen=True)
class Machine:
    """The emulator of an architecture.

    Attributes
    ----------
    emulator : str
    loader : str
        The program loader of the C library, by which the system libraries are found.
    package : str
        The Debian package with the system libraries.
    plain : str
        A CPU with only the features that all targets have, so that code that needs more fails.
    """

    emulator: str
    loader: str
    package: str
    plain: str


MACHINES = {
    "aarch64": Machine(
        "qemu-aarch64", "ld-linux-aarch64.so.1", "g++-aarch64-linux-gnu", "cortex-a53"
    ),
    "arm": Machine("qemu-arm", "ld-linux-armhf.so.3", "g++-arm-linux-gnueabihf", "cortex-a15"),
}


def command(target: tvm.target.Target) -> list[str]:
    """The command prefix that runs a program of the target on this machine.

    Parameters
    ----------
    target : tvm.target.Target
        Its ``mcpu`` is emulated if QEMU has a model of it. Otherwise a CPU with all features, or a
        plain one if the target asks for none.

    Returns
    -------
    list of str
        Empty for this machine's own programs.

    Raises
    ------
    QuakeError
        If there is no emulator, or the target's system libraries are missing. The message says what
        to install.
    """
    wanted = triple(target)
    if wanted.is_host:
        return []
    machine = MACHINES.get(wanted.architecture)
    if machine is None or wanted.system != "linux" or not wanted.abi.startswith("gnu"):
        raise QuakeError(f"cannot emulate {wanted}, only Linux on {' and '.join(MACHINES)}")
    if shutil.which(machine.emulator) is None:
        raise QuakeError(f"no {machine.emulator}: install Debian's qemu-user or its like")
    return [machine.emulator, "-L", str(_root(machine)), "-cpu", _cpu(machine, target)]


def _cpu(machine: Machine, target: tvm.target.Target) -> str:
    mcpu = str(target.attrs.get("mcpu", ""))
    if mcpu in _models(machine.emulator):
        return mcpu
    beyond = {str(feature) for feature in target.attrs.get("mattr", ())} - {"+neon", "+vfp4"}
    return "max" if mcpu or beyond else machine.plain


@functools.cache
def _models(emulator: str) -> frozenset[str]:
    listed = subprocess.run([emulator, "-cpu", "help"], capture_output=True, text=True)
    return frozenset(listed.stdout.split())


def _root(machine: Machine) -> Path:
    """The folder whose ``lib`` has the loader, as packages of cross-compilers install it."""
    for pattern in ("*/lib", "*/sys-root/lib", "*/libc/lib"):  # Debian, Fedora, Arm's toolchain
        for found in sorted(Path("/usr").glob(f"{pattern}/{machine.loader}")):
            return found.parent.parent
    raise QuakeError(f"no {machine.loader}: install Debian's {machine.package} or its like")
