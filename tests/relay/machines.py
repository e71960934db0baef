"""Machines to compile C for, and a function to run exported models on them, or in QEMU."""

import shutil
import subprocess
import sys
import tarfile
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.relay.backend import Executor, Runtime

TVM = Path(tvm.__file__).parent


@dataclass(frozen=True)
class Machine:
    """How to compile code for a machine and run it there.

    Attributes
    ----------
    llvm : str
        LLVM's name of the machine.
    """

    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    llvm: str


MACHINES = {
    "x86-64": Machine(
        "gcc", ("-march=x86-64-v3",), (), "-mtriple=x86_64-linux-gnu -mcpu=x86-64-v3"
    ),
    "aarch64": Machine(
        "aarch64-linux-gnu-gcc",
        (),
        ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"),
        "-mtriple=aarch64-linux-gnu -mattr=+neon",
    ),
    "armv7": Machine(
        "arm-linux-gnueabihf-gcc",
        ("-mfpu=neon-vfpv4",),
        ("qemu-arm", "-L", "/usr/arm-linux-gnueabihf"),
        "-mtriple=armv7l-linux-gnueabihf -mfloat-abi=hard -mattr=+neon,+vfp4",
    ),
}


def machine(name: str) -> Machine:
    """A machine. Skips the test if a tool for it is missing."""
    found = MACHINES[name]
    for tool in (found.compiler, *found.emulator[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: sh tests/install_cross_tools.sh")
    return found


def build(
    mod: tvm.IRModule, target: str, context: tvm.transform.PassContext, **host: str
) -> object:
    """``relay.build`` for the C runtime, ahead of time."""
    executor = Executor("aot", {"interface-api": "c", "unpacked-api": True})
    with context:
        on = tvm.target.Target(target, **host)
        return relay.build(mod, on, executor=executor, runtime=Runtime("crt"), mod_name="net")


def export(lib: object, folder: Path) -> Path:
    """The model in Model Library Format, unpacked."""
    _model_library_format(folder).export_model_library_format(lib, folder / "net.tar")
    with tarfile.open(folder / "net.tar") as archive:
        archive.extractall(folder / "net", filter="data")
    return folder / "net"


def _model_library_format(folder: Path) -> types.ModuleType:
    """TVM's exporter without the rest of ``tvm.micro``, which this TVM was built without.

    The exporter adds the C runtime's sources to the archive. They do not exist and are not needed.
    """
    (folder / "templates").mkdir()
    for name in ("crt_config.h", "platform.c"):
        (folder / "templates" / f"{name}.template").touch()
    micro = types.ModuleType("tvm.micro")
    micro.__path__ = [str(TVM / "micro")]
    micro.get_standalone_crt_dir = lambda: str(folder / "templates")
    micro.get_microtvm_template_projects = lambda _: str(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tvm.micro", micro)
        patch.delitem(sys.modules, "tvm.micro.model_library_format", raising=False)
        import tvm.micro.model_library_format as module
    return module


def main_c(inputs: list[int], outputs: list[int]) -> str:
    """A C program that reads the inputs, with these numbers of floats, and writes the outputs."""
    x = [f"x{i}" for i in range(len(inputs))]
    y = [f"output{i}" for i in range(len(outputs))] if len(outputs) > 1 else ["output"]
    sizes = zip(x + y, inputs + outputs, strict=True)

    def each(form: str, names: list[str]) -> str:
        return " ".join(form.format(name) for name in names)

    return f"""\
#include <stdio.h>
#include <tvmgen_net.h>
{" ".join(f"static float {name}[{size}];" for name, size in sizes)}
int main(void) {{
  struct tvmgen_net_inputs inputs = {{ {each(".{0} = {0},", x)} }};
  struct tvmgen_net_outputs outputs = {{ {each(".{0} = {0},", y)} }};
  {each("if (fread({0}, sizeof {0}, 1, stdin) != 1) return 1;", x)}
  if (tvmgen_net_run(&inputs, &outputs) != 0) return 2;
  {each("fwrite({0}, sizeof {0}, 1, stdout);", y)}
  return 0;
}}
"""


def compile_c(on: Machine, net: Path, sources: list[Path], *flags: str) -> None:
    """Run the C compiler for a machine."""
    paths = (net / "codegen/host/include", TVM / "include", TVM / "dlpack/include")
    includes = [f"-I{path}" for path in paths]
    command = [on.compiler, "-O2", *on.flags, *includes, *map(str, sources), *flags, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def kernels(net: Path) -> list[Path]:
    """The files that TVM generated: C sources, or LLVM's objects."""
    return [p for p in sorted((net / "codegen/host").rglob("*")) if p.suffix in (".c", ".o")]


def run(
    on: Machine,
    net: Path,
    shapes: list[tuple[int, ...]],
    *arrays: np.ndarray,
    flags: tuple[str, ...] = (),
) -> list[np.ndarray]:
    """The outputs, of these shapes, of an exported model that runs on a machine."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    (net / "main.c").write_text(main_c([a.size for a in arrays], sizes))
    compile_c(on, net, [net / "main.c", *kernels(net)], *flags, "-o", str(net / "main"))
    data = b"".join(np.float32(a).tobytes() for a in arrays)
    command = [*on.emulator, str(net / "main")]
    done = subprocess.run(command, input=data, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    found = np.split(np.frombuffer(done.stdout, np.float32), np.cumsum(sizes)[:-1])
    return [y.reshape(shape) for y, shape in zip(found, shapes, strict=True)]
