"""Folders of sentence encoders: what they say is read, and texts of any length become vectors."""

import json

import numpy as np
import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.integrations.embeddings import Embedder, pool
from quake_tvm.integrations.encoder_folder import EncoderFolder
from tests import encoder_folder


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("tokenizers")
    encoder_folder.save(tmp_path)
    return tmp_path


def mean(text):
    """The vector of a text, in double precision."""
    return encoder_folder.tokens(text).mean(axis=0)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def modules(folder, *kinds):
    write(
        folder / "modules.json",
        [{"type": f"sentence_transformers.models.{k}", "path": k} for k in kinds],
    )


def test_texts_of_any_length(folder):
    texts = ["the quick fox", "dog", "the lazy dog jumps over the brown cat", "fox fox"]
    embedder = Embedder.load(folder, method="quake5")
    for batch in (1, 3, 32):
        found = embedder.embed(texts, batch=batch)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, [mean(t) for t in texts], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(embedder.embed("dog"), found[1:2])
    assert embedder.embed([]).shape == (0, encoder_folder.WIDTH)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 2})
    cut = Embedder.load(folder, method="quake5").embed(texts)
    np.testing.assert_allclose(cut[0], mean("the quick"), rtol=0, atol=1e-6)
    assert repr(embedder).startswith(f"<quake_tvm.integrations.Embedder {folder} (mean), <")
    with pytest.raises(QuakeError, match="batch must be at least 1"):
        embedder.embed(texts, batch=0)
    with pytest.raises(QuakeError, match="text 1 must be a str, not a int"):
        embedder.embed(["dog", 1])
    with pytest.raises(QuakeError, match="text 0 is no valid Unicode"):
        embedder.embed(["\ud800"])


def test_the_folder_says_how_to_pool(folder):
    modules(folder, "Transformer", "Pooling", "Normalize")
    write(folder / "Pooling/config.json", {"pooling_mode_cls_token": True, "width": 6})
    read = EncoderFolder.read(folder)
    assert (read.pooling, read.normalize, read.longest) == (("cls",), True, None)
    found = Embedder.load(folder, method="quake5").embed(["dog fox"])
    first = mean("dog")
    np.testing.assert_allclose(found[0], first / np.linalg.norm(first), rtol=0, atol=1e-6)


def test_pooling_ignores_the_padding():
    tokens = np.array([[[1.0, -2.0], [3.0, -4.0], [9.0, 9.0]]])
    mask = np.array([[1, 1, 0]])
    for kind, expected in [
        ("cls", [1, -2]),
        ("max", [3, -2]),
        ("mean", [2, -3]),
        ("mean_sqrt", [4 / 2**0.5, -6 / 2**0.5]),
    ]:
        np.testing.assert_allclose(pool(tokens, mask, [kind]), [expected])
    assert pool(tokens, mask, ["cls", "mean"]).shape == (1, 4)


def test_what_is_missing_is_named(folder, monkeypatch):
    modules(folder, "Transformer", "Dense")
    with pytest.raises(QuakeError, match="has a module Dense, which is not supported"):
        Embedder.load(folder)
    modules(folder, "Pooling")
    write(folder / "Pooling/config.json", {"pooling_mode_lasttoken": True})
    with pytest.raises(QuakeError, match="asks for pooling_mode_lasttoken"):
        Embedder.load(folder)
    (folder / "modules.json").write_text("{")
    with pytest.raises(QuakeError, match=r"modules\.json is no JSON"):
        Embedder.load(folder)
    (folder / "modules.json").unlink()
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(QuakeError, match="is no tokenizer"):
        Embedder.load(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(QuakeError, match=r"neither model\.onnx nor model\.safetensors"):
        Embedder.load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(QuakeError, match=r"no file tokenizer\.json"):
        Embedder.load(folder)


def test_texts_are_prepared_as_the_folder_says(folder):
    write(folder / "sentence_bert_config.json", {"do_lower_case": True})
    prompts = {"prompts": {"query": "the quick "}, "default_prompt_name": "query"}
    write(folder / "config_sentence_transformers.json", prompts)
    found = Embedder.load(folder, method="quake5").embed(["FOX  "])
    np.testing.assert_allclose(found[0], mean("the quick fox"), rtol=0, atol=1e-6)
    modules(folder, "Transformer", "Pooling")
    write(folder / "Pooling/config.json", {"include_prompt": False})
    with pytest.raises(QuakeError, match="leaves the prompt out of the pooling"):
        Embedder.load(folder)


def test_the_longest_text_is_one_that_model_and_tokenizer_take(folder):
    write(folder / "config.json", {"max_position_embeddings": 514})
    assert EncoderFolder.read(folder).longest == 514
    for most, longest in ((512, 512), (10**30, 514)):
        write(folder / "tokenizer_config.json", {"model_max_length": most})
        assert EncoderFolder.read(folder).longest == longest
