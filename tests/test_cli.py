"""The shell: exit statuses, one-line errors, JSON, files whole or not at all."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from tests.test_compiler import mlp


def quake(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "quake_tvm.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


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


def test_compile_prints_the_report(model):
    done = quake("compile", model, "--max-error", "1e-3", "--skip", "softmax")
    assert done.returncode == 0, done.stderr
    assert "gelu" in done.stdout
    assert "quake3" in done.stdout
    assert "in skip=" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "missing.onnx"),
        ("compile", "{model}", "-m", "quake9"),
        ("compile", "{model}", "-t", "pentium"),
        ("compile", "{model}", "--only", "sofmax"),
        ("compile", "{model}", "--shape", "x=a,b"),
        ("compile", "{model}", "-o", "missing/out.so"),
        ("run", "{model}", "--shape", "x=2,8", "-i", "x=missing.npy"),
        ("run", "missing.so"),
        ("bench", "-k", "sofmax"),
        ("accuracy", "nope"),
        ("accuracy", "softmax"),
        ("accuracy", "exp", "-m", "quake9"),
        ("accuracy", "exp", "--update"),
    ],
    ids=" ".join,
)
def test_what_the_user_got_wrong(model, tmp_path, arguments):
    done = quake(*(a.format(model=model) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", ["", "compile", "run", "bench", "accuracy", "targets", "doctor"]
)
def test_help(command):
    done = quake(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_targets_and_doctor():
    rows = json.loads(quake("targets", "--json").stdout)
    assert {"native", "x86-64-v3", "raspberry-pi-4"} <= {row["name"] for row in rows}
    done = quake("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert all(check["ok"] is not False for check in json.loads(done.stdout))


def test_accuracy():
    done = quake("accuracy", "exp", "-m", "quake1", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["relative"] <= row["bound"]
