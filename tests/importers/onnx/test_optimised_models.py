"""Models as ONNX Runtime's optimiser saves them, at each of its levels."""

import numpy as np
import onnx
import onnxruntime
import pytest

import quake_tvm
from quake_tvm import QuakeError
from tests.onnx_models import MODELS, model, node, random, scalar

LEVELS = onnxruntime.GraphOptimizationLevel


def gated() -> onnx.ModelProto:
    """An RMS norm, SiLU and a gate, then a residual, a bias and GELU."""
    nodes = [
        node("Mul", "x x", "square"),
        node("ReduceMean", "square", "mean", axes=[-1]),
        node("Add", "mean epsilon", "guarded"),
        node("Sqrt", "guarded", "root"),
        node("Div", "x root", "normed"),
        node("Mul", "normed gamma", "scaled"),
        node("MatMul", "scaled w1", "up"),
        node("Sigmoid", "up", "sigmoid"),
        node("Mul", "up sigmoid", "silu"),
        node("MatMul", "scaled w2", "gate"),
        node("Mul", "silu gate", "glu"),
        node("MatMul", "glu w3", "down"),
        node("Add", "down b3", "biased"),
        node("Add", "biased x", "residual"),
        node("LayerNormalization", "residual gamma b3", "layer", axis=-1),
        node("MatMul", "layer w1", "wide"),
        node("Add", "wide b1", "wide_biased"),
        node("Div", "wide_biased root2", "by_root"),
        node("Erf", "by_root", "erf"),
        node("Add", "erf one", "cdf"),
        node("Mul", "wide_biased cdf", "twice"),
        node("Mul", "twice half", "y"),
    ]
    weights = {
        "epsilon": scalar(1e-5), "gamma": random(16), "w1": random(16, 32), "w2": random(16, 32),
        "w3": random(32, 16), "b3": random(16), "b1": random(32), "root2": scalar(2**0.5),
        "one": scalar(1), "half": scalar(0.5),
    }  # fmt: skip
    return model(nodes, {"x": (2, 6, 16)}, weights)


ALL = {**MODELS, "gated": gated}


def optimised(original: onnx.ModelProto, level: str, path) -> onnxruntime.InferenceSession:
    """A session of the model as it is; its optimised form is in the file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(LEVELS, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = str(path)
    return onnxruntime.InferenceSession(
        original.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("name", ALL)
def test_of_each_level(name, tmp_path):
    original = ALL[name]()
    for level in ("BASIC", "EXTENDED", "ALL"):
        path = tmp_path / f"{level}.onnx"
        session = optimised(original, level, path)
        rng = np.random.default_rng(0)
        feeds = {i.name: rng.normal(size=i.shape).astype(np.float32) for i in session.get_inputs()}
        (wanted,) = session.run(None, feeds)
        if name == "convolutions" and level == "ALL":
            with pytest.raises(QuakeError, match=r'layout of one CPU.*"extended"'):
                quake_tvm.compile(path)
            continue
        (y,) = quake_tvm.compile(path, method="exact").run(feeds)
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5, err_msg=level)
