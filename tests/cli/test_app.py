"""The shell: exit statuses, one-line errors, JSON, files written whole or not at all."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from tests.emulation.machines import emulated
from tests.shell import quake
from tests.test_compiler import mlp


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mlp.onnx"
    onnx.save(mlp(), path)
    return path


def test_compile_run_and_reuse(model, tmp_path):
    library, outputs = tmp_path / "mlp.so", tmp_path / "out.npz"
    done = quake("compile", model, "-o", library, "-m", "quake3", "--shape", "x=4,8", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {site["operator"] for site in report["sites"]} == {"gelu", "softmax"}
    x = tmp_path / "x.npy"
    np.save(x, np.ones((4, 8), np.float32))
    done = quake("run", library, "-i", f"x={x}", "-o", outputs, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"][0]["shape"] == [4, 16]
    np.testing.assert_allclose(np.load(outputs)["arr_0"].sum(-1), 1, rtol=1e-5)


def test_compile_for_a_range_of_sizes(model, tmp_path):
    library, x = tmp_path / "mlp.so", tmp_path / "x.npy"
    options = "--shape", "x=batch,8", "--range", "batch=2:6"
    done = quake("compile", model, "-o", library, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sites"][0]["versions"] > 1
    done = quake("run", library, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"][0]["shape"] == [2, 16]
    shown = quake("run", library).stdout
    assert "│ y " in shown
    assert "run with batch = 2: --shape and --input take others" in shown
    np.save(x, np.ones((7, 8), np.float32))
    done = quake("run", library, "-i", f"x={x}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == "error: input 'x' has 7 in dimension 'batch' (axis 0), which takes 2 to 6"


def test_compile_prints_the_report(model):
    done = quake("compile", model, "--max-error", "1e-3", "--skip", "softmax")
    assert done.returncode == 0, done.stderr
    assert "gelu" in done.stdout
    assert "quake3" in done.stdout
    assert "in skip=" in done.stdout


def test_cross_compile_brings_a_runner(model, tmp_path):
    emulated("raspberry-pi-4")
    library, runner = tmp_path / "mlp.so", tmp_path / "mlp_runner.cc"
    command = "compile", model, "-t", "raspberry-pi-4", "-o", library
    done = quake(*command, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["output"], report["runner"]) == (str(library), str(runner))
    assert library.read_bytes()[:4] == b"\x7fELF"
    assert all(f"//     {line}\n" in runner.read_text() for line in report["commands"])

    runner.write_text("mine")
    done = quake(*command)
    assert done.returncode == 0, done.stderr
    assert runner.read_text() == "mine"
    assert "kept" in done.stdout
    assert all(line in done.stdout for line in report["commands"])
    assert {file.name for file in tmp_path.iterdir()} == {library.name, runner.name}


def test_a_model_for_this_machine_has_no_runner(model, tmp_path):
    done = quake("compile", model, "-o", tmp_path / "mlp.so", "--json")
    assert json.loads(done.stdout)["runner"] is None
    assert [file.name for file in tmp_path.iterdir()] == ["mlp.so"]


def test_runtime_refuses_what_pypi_does_not_have(tmp_path):
    done = quake("runtime", "-t", "armv7", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: PyPI has no TVM for arm-linux-gnueabihf")


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("android-arm64", "error: no c compiler for aarch64-linux-android24: set ANDROID_NDK_HOME"),
        ("wasm32", "error: TVM loads no libraries on wasm32-wasi"),
        ('{"kind": "llvm", "mtriple": "aarch64-none-elf"}', "error: TVM loads no libraries"),
    ],
)
def test_no_cross_compiler(model, tmp_path, on, message):
    done = quake("compile", model, "-t", on, "-o", tmp_path / "m.so", ANDROID_NDK_HOME="")
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "missing.onnx"),
        ("compile", "{model}", "-m", "quake9"),
        ("compile", "{model}", "-t", "pentium"),
        ("compile", "{model}", "-t", "{{}}"),
        ("compile", "{model}", "--only", "sofmax"),
        ("compile", "{model}", "--shape", "x=a,b"),
        ("compile", "{model}", "-o", "missing/out.so"),
        ("run", "{model}", "--repeat", "0"),
        ("run", "{model}", "--shape", "x=2,8", "--shape", "x=3,8"),
        ("compile", "."),
        ("run", "."),
        ("run", "{model}", "--shape", "x=2,8", "-i", "x=missing.npy"),
        ("run", "missing.so"),
        ("bench", "-k", "sofmax"),
        ("compile", "{model}", "--plan", "missing.toml"),
        ("plan", "{model}", "-i", "missing.npz"),
        ("plan", "missing.onnx", "-i", "missing.npz"),
        ("accuracy", "nope"),
        ("accuracy", "softmax"),
        ("accuracy", "exp", "quake9"),
        ("accuracy", "exp", "-t", "riscv64"),
        ("accuracy", "exp", "--update"),
        ("accuracy", "exp", "quake1", "--exhaustive", "--update"),
    ],
    ids=" ".join,
)
def test_what_the_user_got_wrong(model, tmp_path, arguments):
    done = quake(*(a.format(model=model) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        "",
        "compile",
        "run",
        "plan",
        "norms",
        "quantize",
        "tune",
        "runtime",
        "bench",
        "accuracy",
        "targets",
        "doctor",
    ],
)
def test_help(command):
    done = quake(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_targets_and_doctor():
    rows = json.loads(quake("targets", "--json").stdout)
    assert {"native", "x86-64-v3", "raspberry-pi-4"} <= {row["name"] for row in rows}
    keys = {"name", "description", "cores", "vectors", "lanes", "features", "target"}
    assert all(row.keys() == keys for row in rows)
    shown = quake("targets", COLUMNS="80").stdout
    assert all(f" {row['name']} " in shown for row in rows)  # no name is cut off
    one = quake("targets", "raspberry-pi-4").stdout
    assert one.startswith("raspberry-pi-4: ")
    assert '"mcpu": "cortex-a72"' in one
    done = quake("doctor", "--json")
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert all(check["ok"] is not False for check in checks.values())
    assert {"compiler: native", "compiler: aarch64", "kernel"} <= set(checks)


@pytest.mark.slow
def test_doctor_does_not_load_torch():
    script = (
        "import sys; from quake_tvm.cli.doctor import examine; examine(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_accuracy():
    done = quake("accuracy", "exp", "quake1", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)
    assert (line["operator"], line["method"]) == ("exp", "quake1")
    assert line["relative"]["max"] <= line["bound"]


def test_what_happens_is_said_on_request(model):
    done = quake("-v", "compile", model, "--shape", "x=4,8", "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    lines = done.stderr.splitlines()
    assert all(line.startswith("info: ") for line in lines)
    for what in ("imported", "lowered the nonlinearities", "fused and scheduled", "generated code"):
        assert any(line.startswith(f"info: {what}") for line in lines), what
    assert not quake("compile", model, "--shape", "x=4,8").stderr


def test_quiet_and_verbose_contradict(model):
    done = quake("-q", "-v", "compile", model)
    assert done.returncode == 2
    assert done.stderr == "error: give either --quiet or --verbose, not both\n"
