"""Count the instructions that a kernel executes on its target, with a QEMU plugin.

The plugin (``count.c``) counts the whole program. So the program is run with one and with two calls
of the kernel, and the difference is taken. Functions that the kernel calls are included. Knows no
processor's speed.
"""

import functools
import hashlib
import math
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm

from ..errors import QuakeError
from ..kernels.arguments import Description
from ..support import cache, toolchain
from . import kernel, machine

SOURCE = Path(__file__).with_name("count.c")
# The default number of a kernel's instructions in the sample, and the length of a window of
# consecutive ones.
SAMPLE, WINDOW = 100_000, 1_000


@dataclass(frozen=True)
class Execution:
    """The instructions that one call of a kernel executes.

    Attributes
    ----------
    instructions : int
    sample : list of str
        Instructions in their order, each as its bytes in hexadecimal. If there are many, these are
        evenly spread windows.
    """

    instructions: int
    sample: list[str]


def execution(
    library: Path,
    name: str,
    arrays: Sequence[np.ndarray],
    results: Sequence[Description],
    target: tvm.target.Target,
    *,
    sample: int = SAMPLE,
) -> Execution:
    """Run a kernel of a library as :func:`kernel.run` does, and count its instructions.

    Parameters
    ----------
    library, name, arrays, results, target
        As for :func:`kernel.run`.
    sample : int
        The approximate number of instructions in the sample.

    Returns
    -------
    Execution

    Raises
    ------
    QuakeError
        If QEMU or a C compiler is missing, or QEMU supports no plugins.
    """
    emulator = [] if machine.command(target) else _own_emulator()
    plugin = _plugin(version(target))

    def run(repeat: int, **options: int) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "executed"
            given = "".join(f",{key}={value}" for key, value in options.items())
            wrap = [*emulator, "-plugin", f"{plugin},out={out}{given}"]
            kernel.run(library, name, arrays, results, target, repeat=repeat, wrap=wrap)
            return out.read_text().splitlines()

    once, twice = (int(run(repeat)[-1]) for repeat in (1, 2))
    call = twice - once
    rest = once - call
    # With enough calls, a window of one call's length from ``rest`` on lies within the calls.
    enough = math.ceil(rest / call) + 1
    period = max(call * WINDOW // sample, WINDOW)
    kept = run(enough, first=rest, last=rest + call, period=period, window=WINDOW)
    return Execution(call, [word for block in kept[:-1] for word in block.split()])


def version(target: tvm.target.Target) -> str:
    """The version of QEMU for the target. Raises QuakeError if it is missing."""
    program = (machine.command(target) or _own_emulator())[0]
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version ([\d.]+)", said)
    return found[1] if found else "0"


def _own_emulator() -> list[str]:
    """The emulator for this machine's own programs, which otherwise run without one."""
    program = f"qemu-{platform.machine()}"
    if shutil.which(program) is None:
        raise QuakeError(f"no {program}: install Debian's qemu-user or its like")
    return [program, "-cpu", "max"]


@functools.cache
def _plugin(qemu: str) -> Path:
    """The plugin, compiled for this machine and a version of QEMU."""
    interface = 1 if int(qemu.partition(".")[0]) < 9 else 2
    host = tvm.target.Target({"kind": "llvm"})
    options = ["-O2", "-shared", "-fPIC", f"-DPLUGIN_VERSION={interface}"]
    command = [*toolchain.compiler(host, "c"), *options, str(SOURCE)]

    def make(plugin: Path) -> None:
        done = subprocess.run([*command, "-o", str(plugin)], capture_output=True, text=True)
        if done.returncode:
            raise QuakeError(f"{command[0]} cannot compile {SOURCE}: {done.stderr.strip()[:200]}")

    key = hashlib.sha256("\0".join([SOURCE.read_text(), *command]).encode()).hexdigest()
    return cache.keep(f"count-{key[:16]}.so", make)
