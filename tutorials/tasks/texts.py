"""Embeddings of texts by all-MiniLM-L6-v2. Knows no labels."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

import model_data

from . import minilm
from .features import features

MODEL = "MiniLM-L6"
# Texts are cut to the last, as the tokenizer's settings have it; shorter ones take the next length.
LENGTHS = (32, 64, 96, 128)
BATCH = 8


def embed(label: str, texts: Sequence[str], method: str) -> np.ndarray:
    """Embeddings ``(texts, 384)`` of length 1, float32.

    Raises
    ------
    DataError
        If the model or its vocabulary cannot be had.
    """
    tokenizer = Tokenizer.from_file(str(model_data.tokenizer()))
    tokenizer.enable_truncation(LENGTHS[-1])
    tokenizer.no_padding()
    tokens = tokenizer.encode_batch(list(texts))
    bins = np.searchsorted(LENGTHS, [len(t.ids) for t in tokens])
    embeddings = np.empty((len(tokens), minilm.WIDTH), np.float32)
    for n in np.unique(bins):
        (chosen,) = np.nonzero(bins == n)
        length = LENGTHS[n]
        inputs = {"input_ids": np.zeros((len(chosen), length), np.int64)}
        inputs["attention_mask"] = np.zeros_like(inputs["input_ids"])
        for row, index in enumerate(chosen):
            ids = tokens[index].ids
            inputs["input_ids"][row, : len(ids)] = ids
            inputs["attention_mask"][row, : len(ids)] = 1
        model = minilm.model(BATCH, length)
        embeddings[chosen] = features(f"{label}, {length} tokens", model, method, inputs)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
