"""Embeddings of texts by all-MiniLM-L6-v2. Knows no labels."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from tokenizers import Encoding, Tokenizer

import model_data

from . import minilm
from .builds import Build
from .features import features

MODEL = "MiniLM-L6"
# Texts are cut to the last length, as in the tokenizer's settings. Shorter ones are padded to the
# next length.
LENGTHS = (32, 64, 96, 128)
BATCH = 8
# Changes the model, whatever the length of its texts.
Change = Callable[[onnx.ModelProto], onnx.ModelProto]


def embed(
    label: str, texts: Sequence[str], build: Build, change: Change = lambda model: model
) -> np.ndarray:
    """Embeddings ``(texts, 384)`` of length 1, float32.

    Raises
    ------
    DataError
        If the model or its vocabulary is not available.
    """
    encoded = _encode(texts, LENGTHS[-1])
    bins = np.searchsorted(LENGTHS, [len(t.ids) for t in encoded])
    embeddings = np.empty((len(encoded), minilm.WIDTH), np.float32)
    for n in np.unique(bins):
        (chosen,) = np.nonzero(bins == n)
        length = LENGTHS[n]
        inputs = _padded([encoded[n] for n in chosen], length)
        model = change(minilm.model(BATCH, length))
        embeddings[chosen] = features(f"{label}, {length} tokens", model, build, inputs, BATCH)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def tokens(texts: Sequence[str], length: int) -> dict[str, np.ndarray]:
    """The model's inputs, int64 ``(texts, length)``, for texts cut or padded to one length."""
    return _padded(_encode(texts, length), length)


def _encode(texts: Sequence[str], longest: int) -> list[Encoding]:
    tokenizer = Tokenizer.from_file(str(model_data.tokenizer()))
    tokenizer.enable_truncation(longest)
    tokenizer.no_padding()
    return tokenizer.encode_batch(list(texts))


def _padded(encoded: Sequence[Encoding], length: int) -> dict[str, np.ndarray]:
    inputs = {"input_ids": np.zeros((len(encoded), length), np.int64)}
    inputs["attention_mask"] = np.zeros_like(inputs["input_ids"])
    for row, encoding in enumerate(encoded):
        inputs["input_ids"][row, : len(encoding.ids)] = encoding.ids
        inputs["attention_mask"][row, : len(encoding.ids)] = 1
    return inputs
