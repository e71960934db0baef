"""The program that compares recurrent layers. No time is asserted."""

import numpy as np
import onnx
import onnxruntime
import pytest

import quake_tvm
from quake_tvm.bench.recurrent import HEADER, OWN, Layer, line


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_all_compute_the_same_layer(kind: str) -> None:
    layer = Layer(kind, 8, 2, 3)
    onnx.checker.check_model(layer.model(), full_check=True)
    x = {"x": layer.input()}
    session = onnxruntime.InferenceSession(
        layer.model().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, x)
    (found,) = quake_tvm.compile(layer.model(), method="quake5").run(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_row_has_the_ratio_to_the_faster() -> None:
    seconds = {OWN: 0.003, "ONNX Runtime": 0.004, "PyTorch": 0.005}
    row = line(Layer("GRU", 64, 16, 512), seconds, 0.5)
    assert row == "| GRU | 64 | 16 | 512 | 3.000 | 4.000 | 5.000 | 0.75 | 0.50 |"
    assert row.count("|") == HEADER.count("|")
