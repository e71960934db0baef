"""``quake-tvm quantize``: the model that it writes, and errors in one line."""

import json

import numpy as np
import onnx
import pytest

from tests.norms.models import ROWS, decomposed, saved
from tests.shell import quake

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("model"), decomposed(False)[0])


def test_a_written_model(model, tmp_path):
    inputs, out = tmp_path / "inputs.npz", tmp_path / "quantized.onnx"
    np.savez(inputs, ids=np.arange(ROWS))
    done = quake("quantize", model, "-i", inputs, "-o", out, "--operator", "Mul", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"model": str(model), "calls": 1, "output": str(out)}
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(out).graph.node}


def test_what_the_user_got_wrong(model, tmp_path):
    np.savez(tmp_path / "inputs.npz", other=np.arange(ROWS))
    done = quake("quantize", model, "-i", tmp_path / "inputs.npz", "-o", tmp_path / "out.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.onnx").exists()
