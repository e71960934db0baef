"""``quake-tvm norms``: the table, JSON, the model that it writes, and errors in one line."""

import json

import numpy as np
import onnx
import pytest

from tests.norms.models import ROWS, decomposed, saved
from tests.shell import quake


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("model"), decomposed(False)[0])


@pytest.fixture
def inputs(tmp_path):
    path = tmp_path / "inputs.npz"
    np.savez(path, ids=np.arange(ROWS))
    return path


def test_table(model):
    done = quake("norms", model)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "rms_norm" in done.stdout
    assert done.stdout.splitlines()[-1] == "survives float16 norms: with these scales"


def test_json_and_a_written_model(model, inputs, tmp_path):
    out = tmp_path / "scaled.onnx"
    done = quake("norms", model, "-i", inputs, "--write", out, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["output"], told["changed"]) == (str(model), str(out), 1)
    assert told["survives"] == "with these scales"
    assert "without scales 1 may overflow on these inputs" in told["verdict"]
    (norm,) = told["norms"]
    assert norm.keys() == {
        "number",
        "operator",
        "length",
        "epsilon",
        "typical",
        "proven",
        "seen",
        "scale",
        "claim",
    }
    assert norm["typical"] < norm["seen"] <= norm["proven"]
    assert (norm["scale"], norm["claim"]) == (2.0**-6, "proven")
    onnx.checker.check_model(onnx.load(out))
    done = quake("norms", out, "--json")
    assert json.loads(done.stdout)["survives"] == "yes"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.onnx",), "no such file: missing.onnx"),
        (("{model}", "-i", "missing.npz"), "missing.npz"),
        (("{model}", "-w", "{model}"), "is the file that is read"),
        (("{model}", "-w", "missing/out.onnx"), "cannot write missing/out.onnx"),
        (("{model}", "--shape", "ids=n"), "this command needs sizes"),
    ],
    ids=["no_model", "no_inputs", "over_the_model", "no_folder", "a_name"],
)
def test_errors(model, tmp_path, arguments, message):
    done = quake("norms", *(a.format(model=model) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
