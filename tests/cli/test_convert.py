"""``quake-tvm convert --lookup``: the table, JSON, the model that it writes, errors in one line."""

import json

import numpy as np
import onnx
import pytest

from tests.lookup.models import encoder, inputs
from tests.shell import quake

FEW = ("--tables", "4", "--bits", "3", "--rows", "2048", "--budget", "2")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    onnx.save(encoder(layers=1), folder / "model.onnx")
    np.savez(folder / "inputs.npz", x=np.stack([call["x"] for call in inputs(2)]))
    return folder / "model.onnx", folder / "inputs.npz"


def test_convert(files, tmp_path):
    model, rows = files
    out = tmp_path / "converted.onnx"
    done = quake("convert", "--lookup", model, "-i", rows, "-o", out, "--json", *FEW)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["output"] == str(out)
    (layer,) = told["layers"]
    assert layer["kept"]
    assert layer["errors"].keys() == {"look_up", "left_out", "affine"}
    assert [n.op_type for n in onnx.load(out).graph.node if n.domain] == ["LookupFFN"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["converted.onnx"]


def test_layers_are_kept_beside_look_ups(files, tmp_path):
    model, rows = files
    out = tmp_path / "both.onnx"
    done = quake("convert", "--lookup", "--beside", model, "-i", rows, "-o", out, *FEW)
    assert done.returncode == 0, done.stderr
    found = [n.op_type for n in onnx.load(out).graph.node]
    assert found[-4:-2] == ["LookupFFN", "LookupChoice"]
    assert found.count("MatMul") == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "say what to convert to: --lookup"),
        (("--lookup", "--layer", "3"), "there is no layer 3: the model has 1, from 0"),
        (("--lookup", "--format", "int4"), "form"),
        (("--lookup", "--bits", "17"), "bits must be a whole number from 1 to 16, not 17"),
        (("--lookup", "--budget", "-1"), "budget must be a relative error from 0, not -1"),
        (("--lookup", "--work", "/proc/none"), "cannot keep the state in /proc/none"),
    ],
)
def test_errors(files, tmp_path, arguments, problem):
    model, rows = files
    out = tmp_path / "converted.onnx"
    done = quake("convert", model, "-i", rows, "-o", out, *FEW, *arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()
