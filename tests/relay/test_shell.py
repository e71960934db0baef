"""The shell in Relay's environment: what works there, and one-line errors for the rest."""

import json
import subprocess
import sys

import pytest


def quake(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "quake_tvm.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_targets_and_doctor() -> None:
    rows = json.loads(quake("targets", "--json").stdout)
    assert {"native", "x86-64-v3", "raspberry-pi-4"} <= {row["name"] for row in rows}
    done = quake("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert all(check["ok"] is not False for check in json.loads(done.stdout))


def test_accuracy() -> None:
    done = quake("accuracy", "exp", "quake1", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)
    assert line["relative"]["max"] <= line["bound"]


@pytest.mark.parametrize("command", ["compile", "run"])
def test_what_needs_relax_says_so(command: str) -> None:
    done = quake(command, "model.onnx")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "apache-tvm" in done.stderr
    assert "PassContext" in done.stderr


def test_names_of_the_other_road_say_what_to_use() -> None:
    import quake_tvm

    for name in ("compile", "load", "pipeline", "Model"):
        with pytest.raises(quake_tvm.QuakeError, match=r"has Relax; .*PassContext"):
            getattr(quake_tvm, name)("model.onnx")
