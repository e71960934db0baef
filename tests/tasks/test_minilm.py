"""The ONNX transformer gives ONNX Runtime's embeddings, and paraphrases are near each other."""

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

import model_data
from tasks import builds, minilm, texts

TEXTS = [
    "A cat sits on the mat.",
    "There is a cat on a mat.",
    "Shares dropped sharply on Wall Street.",
    "word " * 40,
]


@pytest.fixture(scope="module")
def encoder():
    try:
        model_data.sentence_weights()
        return minilm.model(2, 16)
    except model_data.DataError as error:
        pytest.skip(str(error))


def test_as_onnx_runtime_has_it(encoder):
    onnx.checker.check_model(encoder)
    feeds = {"input_ids": np.random.default_rng(0).integers(1000, 30000, (2, 16))}
    feeds["attention_mask"] = (np.arange(16) < [[16], [5]]).astype(np.int64)
    session = onnxruntime.InferenceSession(encoder.SerializeToString())
    (expected,) = session.run(None, feeds)
    found = texts.features("test", encoder, builds.EXACT, feeds, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    feeds["input_ids"][1, 5:] = 0  # masked tokens have no effect
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, atol=1e-6)


def test_embeddings_of_texts_of_any_length(encoder, monkeypatch):
    monkeypatch.setattr(texts, "LENGTHS", (16, 48))
    embeddings = texts.embed("test", TEXTS, builds.RUNGS["quake3"])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    cosines = embeddings @ embeddings.T
    assert cosines[0, 1] > 0.8 > 0.3 > cosines[0, 2]
