"""Decoders with past keys and values as inputs and outputs, as optimum writes them."""

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch")

import llama
import onnx_llama
import quake_tvm
from quake_tvm.build import import_model
from quake_tvm.passes.relax.graph import kernel_calls
from quake_tvm.passes.relax.pipeline import Pipeline

SIZES = llama.Sizes(layers=2, width=64, inner=48, heads=4, pairs=2, vocabulary=97)
LLAMA = llama.random(SIZES, seed=0, growth=1.0)
PROMPT = np.array([[5, 17, 3, 90, 41, 8]])


@pytest.fixture(scope="module")
def file():
    return onnx_llama.decoder(LLAMA)


@pytest.fixture(scope="module")
def model(file):
    return quake_tvm.compile(file, method="quake5")


@pytest.fixture(scope="module")
def peer(file):
    session = onnxruntime.InferenceSession(
        file.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [given.name for given in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def _next(logits):
    return logits[:, -1].argmax(-1)[:, None]


@pytest.mark.slow
def test_a_conversation_is_that_of_onnxruntime(model, peer):
    ids, here, there = PROMPT, onnx_llama.nothing(LLAMA), onnx_llama.nothing(LLAMA)
    for _ in range(10):
        logits, *here = model.run(*onnx_llama.step(ids, here))
        wanted, *there = peer(*onnx_llama.step(ids, there))
        np.testing.assert_allclose(logits, wanted, rtol=2e-4, atol=2e-5)
        for got, past in zip(here, there, strict=True):
            np.testing.assert_allclose(got, past, rtol=2e-4, atol=2e-5)
        ids = _next(wanted)


@pytest.mark.slow
def test_sequences_of_several_lengths_in_one_batch(model):
    """Each sequence answers as it does alone. Tokens in front of the shorter ones are padding."""
    prompts = [PROMPT[0], PROMPT[0, 3:], PROMPT[0, :1]]
    alone = []
    for prompt in prompts:
        ids, past, found = prompt[None], onnx_llama.nothing(LLAMA), []
        for _ in range(6):
            logits, *past = model.run(*onnx_llama.step(ids, past))
            found.append(logits)
            ids = _next(logits)
        alone.append(np.concatenate(found, axis=1))
    first = np.array([PROMPT.size - len(prompt) for prompt in prompts])
    rows = [np.pad(prompt, (n, 0)) for prompt, n in zip(prompts, first, strict=True)]
    ids, past = np.stack(rows), onnx_llama.nothing(LLAMA, batch=3)
    for step in range(6):
        logits, *past = model.run(*onnx_llama.step(ids, past, first))
        for row, wanted in zip(logits, alone, strict=True):
            np.testing.assert_allclose(row[0], wanted[0, step], rtol=2e-4, atol=2e-5)
        ids = _next(logits)


def test_attention_reads_the_keys_without_repeats(file):
    target = quake_tvm.target("native")
    with target:
        lowered = Pipeline.of(target, method="quake4").upto("lower")(import_model(file))["main"]
    found = [c.args[1].fields for c in kernel_calls(lowered) if "attention" in c.args[0].name_hint]
    assert len(found) == SIZES.layers
    for _, keys, values, *_ in found:
        assert int(keys.ty.shape[1]) == int(values.ty.shape[1]) == SIZES.pairs
