"""Ctrl-C: one line and status 130 in the shell, KeyboardInterrupt in Python, nothing left over."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tvm
from onnx import TensorProto, helper, save
from tvm import relax

import quake_tvm
from tests.helpers import module

COMMANDS = {
    "compile": ["-o", "out.so"],
    "run": ["-o", "out.npz"],
    "plan": ["-i", "in.npz", "--budget", "1e-3", "-o", "plan.toml"],
    "tune": ["--minutes", "5", "--records", "records"],
    "bench": [],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("interrupted")
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (8, 64)) for n in ("x", "y")]
    nodes = [helper.make_node("Softmax", ["x"], ["y"])]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path / "model.onnx")
    np.savez(path / "in.npz", x=np.zeros((8, 64), np.float32))
    return path


def interrupted(command: str, seconds: float, folder: Path, scratch: Path) -> None:
    before = sorted(folder.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "quake_tvm.cli.start", command, "model.onnx", *COMMANDS[command]],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # The process that started the tests may ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    if process.returncode == 0:
        assert not errors
        pytest.skip("this machine was done before that")
    assert process.returncode == 130, errors
    assert len(errors.splitlines()) == 1, errors
    assert not list(scratch.iterdir())
    if command != "tune":  # a tune saves its records
        assert sorted(folder.iterdir()) == before
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(("command", "seconds"), [("compile", 0.3), ("compile", 2), ("run", 3)])
def test_in_the_shell(command, seconds, folder, tmp_path):
    interrupted(command, seconds, folder, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 9])
@pytest.mark.parametrize("command", COMMANDS)
def test_in_the_shell_at_ten_moments(command, seconds, folder, tmp_path):
    """Moments at which this machine has already finished the command are skipped."""
    interrupted(command, seconds, folder, tmp_path)


def test_inside_an_import(tmp_path):
    """There an exception would be lost in the C++ of the module that is being loaded."""
    (tmp_path / "loading.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n    os.abort()\n"
    )
    program = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from quake_tvm.cli import app, start
def shell():
    import loading
app.main = shell
start.main()
"""
    ended = run(program, tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


def test_when_all_is_done(tmp_path):
    program = """
import atexit, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(os.kill, os.getpid(), signal.SIGINT)
from quake_tvm.cli import app, start
app.main = lambda: print("done")
start.main()
"""
    ended = run(program, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def run(program: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.getcwd()])},
        capture_output=True,
        text=True,
    )


def test_inside_a_pass_of_the_compiler(monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    mod = module(relax.op.nn.softmax, (4, 8))
    monkeypatch.setattr("quake_tvm.passes.quake.recognize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quake_tvm.compile(mod)
    with pytest.raises(KeyboardInterrupt):
        tvm.transform.Sequential([quake_tvm.QuAKE()])(mod)
    monkeypatch.undo()
    quake_tvm.compile(mod)  # the compiler's lock is free again


def test_inside_the_virtual_machine():
    model = quake_tvm.compile(module(relax.op.nn.softmax, (4, 8)))
    x = np.zeros((4, 8), np.float32)

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.instrumented(interrupt).run(x)
    model.run(x)
