"""Decoders of transformers with its StaticCache and without: small random weights, against eager.

The cache's attention must become one kernel that reads the cache and the positions, and no mask.
"""

import functools

import numpy as np
import pytest

import quake_tvm
from quake_tvm.build import import_model
from quake_tvm.passes.relax.graph import kernel_calls
from quake_tvm.passes.relax.pipeline import Pipeline

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, CAPACITY, HEADS, WIDTH, DEPTH = 97, 32, 4, 64, 16
PROMPT = np.array([[5, 17, 3, 90, 41, 8]])
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "head_dim": DEPTH,
    "max_position_embeddings": CAPACITY,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": WIDTH,
    "n_layer": 2,
    "n_head": HEADS,
    "n_positions": CAPACITY,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OPT = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "word_embed_proj_dim": WIDTH,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "max_position_embeddings": CAPACITY,
    "pad_token_id": 1,
}
# It computes the positions, if they are not given, from a tensor whose size depends on the cache.
POSITIONS = {"opt"}
ARCHITECTURES = {
    "llama": COMMON,
    "qwen2": COMMON,
    "qwen3": COMMON,
    "smollm3": COMMON,
    "gemma": COMMON,
    "phi": COMMON,
    "gpt2": GPT2,
    "opt": OPT,
}


class Cached(torch.nn.Module):
    """New tokens to the logits of the last one; the cache is a state."""

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        self.with_positions = name in POSITIONS
        config = transformers.AutoConfig.for_model(name, **ARCHITECTURES[name])
        self.model = transformers.AutoModelForCausalLM.from_config(config).eval()
        self.cache = transformers.StaticCache(config=config, max_cache_len=CAPACITY)
        heads = getattr(config, "num_key_value_heads", None) or HEADS
        self.cache.early_initialization(1, heads, DEPTH, torch.float32, torch.device("cpu"))
        for n, layer in enumerate(self.cache.layers):
            for part in ("keys", "values", "cumulative_length"):
                self.register_buffer(f"{part}_{n}", getattr(layer, part), persistent=False)

    def forward(self, ids):
        for n, layer in enumerate(self.cache.layers):
            for part in ("keys", "values", "cumulative_length"):
                setattr(layer, part, getattr(self, f"{part}_{n}"))
        given = {"past_key_values": self.cache, "use_cache": True, "logits_to_keep": 1}
        if self.with_positions:
            given["position_ids"] = (self.cumulative_length_0 + torch.arange(ids.shape[1]))[None]
        return self.model(ids, **given).logits


@functools.cache
def _program(name):
    count = torch.export.Dim("count", max=CAPACITY)
    ids = torch.ones(1, 5, dtype=torch.long)
    with torch.no_grad():
        return torch.export.export(Cached(name), (ids,), dynamic_shapes=({1: count},), strict=False)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_attention_reads_the_cache_and_positions(name):
    target = quake_tvm.target("native")
    with target:
        passes = Pipeline.of(target, method="quake4")
        lowered = passes.upto("lower")(import_model(_program(name)))["main"]
    found = [c.args[1].fields for c in kernel_calls(lowered) if "attention" in c.args[0].name_hint]
    assert len(found) == 2
    heads = ARCHITECTURES[name].get("num_key_value_heads", HEADS) if name != "phi" else None
    for _, keys, values, positions in found:
        for cache in (keys, values):
            shape = [int(n) for n in cache.ty.shape]
            assert shape == [1, heads or shape[1], CAPACITY, DEPTH]
        assert str(positions.ty.dtype) == "int64"
        assert len(positions.ty.shape) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_with_a_cache_are_those_of_eager(name):
    session = quake_tvm.compile(_program(name), method="quake5").session()
    eager, ids = Cached(name), PROMPT
    for _ in range(8):
        (got,) = session.run(ids)
        with torch.no_grad():
            wanted = eager(torch.from_numpy(ids)).numpy()
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)
        ids = wanted[:, -1].argmax(-1)[:, None]


class Plain(torch.nn.Module):
    """All tokens to the logits of all, without a cache."""

    def __init__(self, name):
        super().__init__()
        self.model = Cached(name).model

    def forward(self, ids, seen=None):
        return self.model(ids, attention_mask=seen, use_cache=False).logits


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_without_a_cache_are_those_of_eager(name):
    eager = Plain(name)
    count = torch.export.Dim("count", min=2, max=CAPACITY)
    ids = torch.ones(1, 5, dtype=torch.long)
    with torch.no_grad():
        program = torch.export.export(eager, (ids,), dynamic_shapes=({1: count},), strict=False)
        model = quake_tvm.compile(program, method="quake5")
        for length in (2, 9, CAPACITY):
            ids = torch.arange(length)[None] * 7 % VOCABULARY
            wanted = eager(ids).numpy()
            np.testing.assert_allclose(model.run(ids.numpy())[0], wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_sequences_of_several_lengths_in_one_batch(name):
    """With padding in front of the shorter ones, as transformers' tokenizers write it."""
    eager, lengths = Plain(name), np.array([12, 7, 3])
    ids = torch.from_numpy(np.random.default_rng(0).integers(3, VOCABULARY, (3, 12)))
    seen = torch.from_numpy(np.arange(12) >= 12 - lengths[:, None]).long()
    count = torch.export.Dim("count", min=2, max=CAPACITY)
    shapes = {1: count}, {1: count}
    with torch.no_grad():
        program = torch.export.export(eager, (ids, seen), dynamic_shapes=shapes, strict=False)
        (got,) = quake_tvm.compile(program, method="quake5").run(ids.numpy(), seen.numpy())
        wanted = eager(ids, seen).numpy()
    for row, logits, length in zip(got, wanted, lengths, strict=True):
        np.testing.assert_allclose(row[-length:], logits[-length:], rtol=2e-4, atol=2e-5)
