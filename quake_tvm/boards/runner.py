"""A small C++ program that runs a compiled model on a machine without Python.

Knows TVM's runtime libraries and the toolchain, no model.
"""

import shlex
from pathlib import Path

import tvm
import tvm_ffi

from ..emulation.runtime import ARCHITECTURES
from ..support.toolchain import compiler, triple

SOURCE = Path(__file__).with_name("runner.cc")
# The first words of the program, after the comment that says how to use it.
BODY = "#include"


def runner_path(library: Path) -> Path:
    """The path of a library's runner."""
    return library.with_name(f"{library.stem}_runner.cc")


def is_runner(text: str) -> bool:
    """Whether this is an unchanged runner, for any target."""
    body = SOURCE.read_text().partition(BODY)[2]
    return text.partition(BODY)[2] == body


def runner(commands: list[str]) -> str:
    """The runner's source, with the commands that build and run it in its first comment."""
    comment, _, body = SOURCE.read_text().partition(BODY)
    lines = "".join(f"//     {line}\n" for line in commands)
    return f"{comment}//\n// Build it, and take it to where it is to run:\n//\n{lines}{BODY}{body}"


def commands(library: Path, target: tvm.target.Target, name: str) -> list[str]:
    """The shell commands that build the runner, copy it to a board and run it there.

    Parameters
    ----------
    library : Path
        The exported model.
    target : tvm.target.Target
    name : str
        The target's name for the shell's ``--target``.

    Raises
    ------
    QuakeError
        If there is no compiler for the target.
    """
    machine, source = triple(target), runner_path(library)
    program = source.with_suffix("")
    if machine.architecture in ARCHITECTURES and machine.system == "linux":
        runtime = f"$(quake-tvm runtime -t {shlex.quote(name)})"
    else:
        runtime = f"FOLDER  # with TVM {tvm.__version__}'s libraries, built for {machine}"
    build = [*compiler(target), "-std=c++17", "-O2", str(source), "-o", str(program)]
    build += [f"-I{path}" for path in tvm_ffi.libinfo.include_paths()]
    link = '-L"$LIBRARIES" -Wl,--no-as-needed -ltvm_runtime -ltvm_ffi'
    files = shlex.join([str(library), str(program)])
    return [
        f"LIBRARIES={runtime}",
        f"{shlex.join(build)} {link} -Wl,-rpath,'$ORIGIN'",
        f'scp {files} "$LIBRARIES"/*.so BOARD:',
        f"ssh BOARD ./{program.name} ./{library.name}",
    ]
