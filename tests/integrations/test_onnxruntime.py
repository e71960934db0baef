"""The session beside ONNX Runtime's own: the same names, types, shapes and results."""

import numpy as np
import onnx
import pytest

import quake_tvm.integrations.onnxruntime as ours
from quake_tvm.errors import QuakeError
from tests.test_compiler import X, mlp

ort = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    path = tmp_path_factory.mktemp("session") / "mlp.onnx"
    onnx.save(mlp(), path)
    providers = ["CPUExecutionProvider"]
    return (
        ours.InferenceSession(str(path), providers=providers, method="quake5"),
        ort.InferenceSession(path, providers=providers),
    )


def test_inputs_and_outputs(sessions):
    for method in ("get_inputs", "get_outputs"):
        mine, theirs = (getattr(session, method)() for session in sessions)
        assert [(a.name, a.type, a.shape) for a in mine] == [
            (a.name, a.type, a.shape) for a in theirs
        ]
    assert sessions[0].get_providers() == sessions[1].get_providers()
    assert "(x: float32[" in repr(sessions[0])


@pytest.mark.parametrize("names", ["all", None, []])
def test_runs(sessions, names):
    asked = [o.name for o in sessions[1].get_outputs()] if names == "all" else names
    mine, theirs = (
        session.run(asked, {sessions[0].get_inputs()[0].name: X}) for session in sessions
    )
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-5)


def test_bytes():
    session = ours.InferenceSession(mlp().SerializeToString())
    assert session.run(None, {"x": X})[0].shape == (4, 16)


def test_settings_of_onnx_runtime(caplog):
    settings = ours.SessionOptions()
    settings.intra_op_num_threads = 2
    content, providers = mlp().SerializeToString(), ours.get_available_providers()
    session = ours.InferenceSession(content, settings, providers)
    assert "TVM_NUM_THREADS" in caplog.text
    session.run(None, {"x": X}, None)


def test_refused(sessions):
    with pytest.raises(QuakeError, match="unknown output 'z'; the model's: "):
        sessions[0].run(["z"], {"x": X})
    with pytest.raises(QuakeError, match=r"give a list of output names: \['p'\]"):
        sessions[0].run("p", {"x": X})
    with pytest.raises(QuakeError, match="on the CPU only"):
        ours.InferenceSession("model.onnx", providers=["CUDAExecutionProvider"])
    with pytest.raises(QuakeError, match="these bytes are no ONNX model"):
        ours.InferenceSession(b"nonsense")
