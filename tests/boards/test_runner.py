"""The C++ runner: the printed commands build it, and it gives the model's outputs anywhere."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
import tvm_ffi
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm.boards import runner
from quake_tvm.emulation import machine, runtime
from quake_tvm.machines.targets import target
from tests.emulation.machines import emulated
from tests.kernels.test_index_check import INPUTS, NODES, USERS, model_of, with_last
from tests.test_compiler import X, mlp

BOUND = quake_tvm.bound("softmax", "quake3").relative


def installed(folder: Path) -> None:
    """Link this machine's runtime from TVM's installation."""
    for package, name in ((tvm, "libtvm_runtime.so"), (tvm_ffi, "libtvm_ffi.so")):
        (folder / name).symlink_to(Path(package.__file__).parent / "lib" / name)


def build(on: tvm.target.Target, folder: Path) -> None:
    """Run the command that builds the runner, in a folder that has the runtime."""
    commands = runner.commands(Path("model.so"), on, "some-target")
    (folder / "model_runner.cc").write_text(runner.runner(commands))
    _, compile, *_ = commands
    done = subprocess.run(
        ["sh", "-c", f"LIBRARIES=.; {compile}"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def run(on: tvm.target.Target, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [*machine.command(on), "./model_runner", "./model.so", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


def numbers(line: str) -> np.ndarray:
    """The values that the runner prints after an output's shape."""
    return np.array(line.rpartition(":")[2].split(), np.float32)


def gathers() -> onnx.ModelProto:
    """Two rows of ten, by indices."""
    given = helper.make_tensor_value_info("i", TensorProto.INT64, [2])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])
    table = numpy_helper.from_array(np.ones((10, 4), np.float32), "table")
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"])]
    graph = helper.make_graph(nodes, "graph", [given], [made], [table])
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@pytest.fixture(scope="module", params=["native", "cortex-a72"])
def deployed(request, tmp_path_factory):
    """A target, and a folder with all files that its board needs."""
    folder = tmp_path_factory.mktemp("board")
    if request.param == "native":
        if shutil.which("g++") is None:
            pytest.skip("no g++")
        on = target()
        installed(folder)
    else:
        on = emulated(request.param)
        for library in runtime.libraries(on).iterdir():
            (folder / library.name).symlink_to(library)
    build(on, folder)
    model = quake_tvm.compile(mlp(), on, method="quake3", ranges={"n": (1, 8)})
    model.export(folder / "model.so")
    X.tofile(folder / "x.bin")
    return on, folder


def test_runner_gives_what_the_model_gives(deployed):
    (wanted,) = quake_tvm.compile(mlp(), method="quake3").run(X)
    done = run(*deployed, "x=x.bin", "n=4")
    assert done.returncode == 0, done.stderr
    output, time = done.stdout.splitlines()
    assert output.startswith("float32 ( 4 16 ):")
    np.testing.assert_allclose(numbers(output), wanted.ravel()[:8], rtol=BOUND)
    assert "ms a call" in time


def test_a_wrong_index_and_half_a_library_end_in_one_line(deployed):
    on, folder = deployed
    quake_tvm.compile(gathers(), on).export(folder / "gather.so")
    np.int64([0, 10]).tofile(folder / "i.bin")
    whole = (folder / "gather.so").read_bytes()
    (folder / "half.so").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("gather", "Gather: index out of range: 'i'"),
        ("half", "no whole model"),
    ):
        command = [*machine.command(on), "./model_runner", f"./{name}.so", "i=i.bin"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.sweep
def test_no_index_makes_a_program_leave_its_memory(tmp_path):
    """Valgrind checks every operator. Its CPU has no AVX-512."""
    if shutil.which("valgrind") is None or shutil.which("g++") is None:
        pytest.skip("no valgrind or no g++")
    installed(tmp_path)
    build(target(), tmp_path)
    model = quake_tvm.compile(model_of(NODES, INPUTS), target("x86-64-v3"))
    model.export(tmp_path / "model.so")
    for wrong in (None, *USERS):
        given = INPUTS if wrong is None else with_last(wrong, 1000)
        for name, value in given.items():
            value.tofile(tmp_path / name)
        command = ["valgrind", "-q", "--error-exitcode=9", "./model_runner", "./model.so"]
        command += [f"{name}={name}" for name in given]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == (0 if wrong is None else 2), done.stderr
        assert wrong is None or f"index out of range: '{wrong}'" in done.stderr


def test_inputs_are_zeros_and_open_dimensions_one(deployed):
    done = run(*deployed)
    assert done.returncode == 0, done.stderr
    output = done.stdout.splitlines()[0]
    assert output.startswith("float32 ( 1 16 ):")
    np.testing.assert_allclose(numbers(output), 1 / 16, rtol=BOUND)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x=x.bin", "n=5"], "x takes a file of 160 bytes"),
        (["x=no.bin"], "x takes a file of 32"),
        (["N=4"], "the model has no input and no dimension N"),
        (["n=9"], "n is 9 and takes 1 to 8"),
    ],
)
def test_runner_says_what_is_wrong(deployed, arguments, message):
    done = run(*deployed, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("name", "libraries"),
    [
        ("raspberry-pi-4", "LIBRARIES=$(quake-tvm runtime -t raspberry-pi-4)"),
        ("armv7", f"LIBRARIES=FOLDER  # with TVM {tvm.__version__}'s libraries"),
    ],
)
def test_commands_say_where_the_runtime_comes_from(name, libraries):
    on = emulated(name)
    first, second, *_ = runner.commands(Path("out/model.so"), on, name)
    assert first.startswith(libraries)
    assert " out/model_runner.cc -o out/model_runner " in second


def test_a_changed_runner_is_told_from_the_written_one():
    text = runner.runner(["one command"])
    assert "//     one command\n" in text
    assert runner.is_runner(text)
    assert runner.is_runner(runner.runner(["another"]))
    assert not runner.is_runner(text.replace("11", "101"))
    assert not runner.is_runner("")


def test_package_has_the_source():
    assert runner.SOURCE.read_text().count(runner.BODY) > 1
