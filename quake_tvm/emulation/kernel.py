"""Run compiled kernels on their target, in an emulator if it is another machine, without TVM there.

A small C program (``driver.c``) loads a library of kernels and calls them with arrays from a file.
It needs no TVM runtime, so 32-bit ARM works too. Knows no operator and no model.
"""

import hashlib
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
import tvm_ffi.libinfo

from ..errors import QuakeError
from ..kernels.arguments import Description
from ..passes.relax import lower_kernels
from ..support import cache, toolchain
from ..tvm_version import tir
from . import machine

SOURCE = Path(__file__).with_name("driver.c")
# Seconds after which a kernel is considered to hang: far more than any needs.
TIMEOUT = 300
# numpy's kinds of dtypes to DLPack's type codes. The last is that of bfloat16.
CODES = {"i": 0, "u": 1, "f": 2, "V": 4}


@dataclass(frozen=True)
class Call:
    """One call of a kernel.

    Attributes
    ----------
    name : str
        The kernel's name in its library.
    arrays : sequence of np.ndarray
        The inputs.
    results : sequence of (shape, dtype)
        The outputs, which follow the inputs as parameters.
    repeat : int
        The number of calls; the results are those of the last.
    """

    name: str
    arrays: Sequence[np.ndarray]
    results: Sequence[Description]
    repeat: int = 1

    def packed(self) -> bytes:
        """The call in the format that the driver reads."""
        parts = [f"{self.name} {self.repeat} {len(self.arrays) + len(self.results)}\n".encode()]
        for array in map(np.asarray, self.arrays):
            parts += [_line("I", array.shape, array.dtype), array.tobytes()]
        parts += [_line("O", shape, np.dtype(dtype)) for shape, dtype in self.results]
        return b"".join(parts)


def _line(direction: str, shape: Sequence[int], dtype: np.dtype) -> bytes:
    numbers = [CODES[dtype.kind], dtype.itemsize * 8, len(shape), *shape]
    return f"{direction} {' '.join(map(str, numbers))}\n".encode()


def export(
    functions: "Mapping[str, tir.PrimFunc]", target: tvm.target.Target, library: Path
) -> Path:
    """Compile kernels to one shared library for a target. Scheduled kernels are not changed.

    Parameters
    ----------
    functions : mapping
        PrimFuncs by the names that :func:`run` uses.
    target : tvm.target.Target
    library : Path
        The file to write, ``.so``.

    Returns
    -------
    Path
        ``library``.

    Raises
    ------
    QuakeError
        If there is no compiler that links for the target.
    """
    link = toolchain.linker(target)
    named = {name: f.with_attr("global_symbol", name) for name, f in functions.items()}
    compiled = tvm.compile(tvm.IRModule(named), target=target, tir_pipeline=lower_kernels.NAME)
    compiled.export_library(str(library), fcompile=link)
    return library


def run(
    library: Path,
    name: str,
    arrays: Sequence[np.ndarray],
    results: Sequence[Description],
    target: tvm.target.Target,
    *,
    repeat: int = 1,
    wrap: Sequence[str] = (),
) -> list[np.ndarray]:
    """Run one kernel of a library on its target, in QEMU if that is another machine.

    Parameters
    ----------
    library : Path
        As :func:`export` writes it.
    name, arrays, results, repeat
        As in :class:`Call`.
    target : tvm.target.Target
        The target of the library; its ``mcpu`` selects the emulated processor.
    wrap : sequence of str
        Additional options of QEMU.

    Returns
    -------
    list of np.ndarray
        The results.

    Raises
    ------
    QuakeError
        For a missing tool, and for a kernel that fails, crashes or hangs.
    """
    return run_all(library, [Call(name, arrays, results, repeat)], target, wrap=wrap)[0]


def run_all(
    library: Path, calls: Sequence[Call], target: tvm.target.Target, *, wrap: Sequence[str] = ()
) -> list[list[np.ndarray]]:
    """Run several kernels as :func:`run` does, one after another in one process.

    Returns
    -------
    list of list of np.ndarray
        The results of each call.
    """
    command = [*machine.command(target), *wrap, str(_driver(target)), str(library.resolve())]
    data = _output(command, b"".join(call.packed() for call in calls))
    found: list[list[np.ndarray]] = []
    start = 0
    for call in calls:
        found.append([])
        for shape, dtype in call.results:
            count = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data, dtype, count, start).reshape(shape).copy()
            found[-1].append(array)
            start += array.nbytes
    return found


def _output(command: list[str], data: bytes) -> bytes:
    try:
        # From a file instead of a pipe: reading a file executes the same instructions every time.
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            done = subprocess.run(command, stdin=file, capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise QuakeError(f"the kernel hangs: stopped after {TIMEOUT} s") from None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        hint = ": this processor lacks an instruction of the kernel's" if name == "SIGILL" else ""
        raise QuakeError(f"the kernel crashes with {name}{hint}")
    if done.returncode:
        raise QuakeError(f"the kernel fails: {' '.join(map(str.strip, said))}")
    return done.stdout


def _driver(target: tvm.target.Target) -> Path:
    """The driver, compiled once for each target, compiler and version."""
    info = tvm_ffi.libinfo
    includes = sorted({info.find_include_path(), info.find_dlpack_include_path()})
    command = [*toolchain.compiler(target, "c"), "-O2", "-rdynamic", str(SOURCE)]
    command += [*(f"-I{path}" for path in includes), "-ldl"]
    depends = [SOURCE.read_text(), tvm_ffi.__version__, *command]

    def make(program: Path) -> None:
        done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
        if done.returncode:
            raise QuakeError(f"{command[0]} cannot compile {SOURCE}: {done.stderr.strip()[:200]}")

    key = hashlib.sha256("\0".join(depends).encode()).hexdigest()
    return cache.keep(f"driver-{key[:16]}", make)
