"""The decoders that are measured side by side answer the same."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import decoder_figures  # noqa: E402
import decoder_peers  # noqa: E402
import llama  # noqa: E402

SIZES = llama.Sizes(2, 64, 128, 4, 2, 96)
NO_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler")
CONTENDERS = {
    "here": lambda weights: decoder_peers.Here(weights, 16, "quake4"),
    "eager": lambda weights: decoder_peers.Eager(weights, 16),
    "compiled": lambda weights: decoder_peers.Compiled(weights, 16),
    "onnx": lambda weights: decoder_peers.OnnxRuntime(weights, 1),
    "openvino": lambda weights: decoder_peers.OpenVINO(weights, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=NO_COMPILER if n == "compiled" else ()) for n in CONTENDERS]
)
def test_each_contender_answers_as_the_model_without_a_cache(name):
    if name == "openvino":
        pytest.importorskip("openvino")
    weights = llama.random(SIZES, seed=0, growth=1.0)
    tokens = np.array([[3, 1, 4, 1, 5, 9]])
    with torch.no_grad():
        expected = weights(torch.from_numpy(tokens))[0].numpy()
        contender = CONTENDERS[name](weights)
        for _ in range(2):
            contender.begin()
            seen = 0
            for count in (4, 1, 1):
                logits = contender.step(tokens[:, seen : seen + count])
                seen += count
                np.testing.assert_allclose(logits[0, 0], expected[seen - 1], atol=2e-5)


def test_operations_of_a_prompt_are_those_of_its_products():
    """Counted one by one: each row of each product, and each visible key of each row."""
    sizes = llama.Sizes(layers=1, width=8, inner=16, heads=2, pairs=1, vocabulary=10)
    square, keys, inner = 8 * 8, 8 * 4, 8 * 16
    products = 3 * (2 * square + 2 * keys + 3 * inner) + 8 * 10
    attention = 2 * 2 * 4 * (1 + 2 + 3)  # two products of two heads of four features
    assert decoder_figures.operations(sizes, 3) == 2 * (products + attention)
