"""Decoders of transformers' encoder-decoder models with its StaticCache, against eager."""

import numpy as np
import pytest

import quake_tvm

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, CAPACITY, HEADS, WIDTH, DEPTH = 97, 32, 4, 64, 16
TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
ARCHITECTURES = {
    "t5": {
        **{"d_model": WIDTH, "d_kv": DEPTH, "d_ff": 48, "num_heads": HEADS},
        **{"num_layers": 2, "num_decoder_layers": 2},
    },
    "whisper": {
        **{"d_model": WIDTH, "encoder_layers": 2, "decoder_layers": 2},
        **{"encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS},
        **{"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_target_positions": CAPACITY},
    },
}
PARTS = ("keys", "values", "cumulative_length")


class Decoder(torch.nn.Module):
    """New tokens and the encoder's output to logits; the cache of the tokens is a state."""

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(name, **TOKENS, **ARCHITECTURES[name])
        model = transformers.AutoModelForSeq2SeqLM if name == "t5" else None
        model = (model or transformers.AutoModelForSpeechSeq2Seq).from_config(config).eval()
        self.decoder, self.head = model.get_decoder(), model.get_output_embeddings()
        self.cache = transformers.StaticCache(config=self.decoder.config, max_cache_len=CAPACITY)
        self.cache.early_initialization(1, HEADS, DEPTH, torch.float32, torch.device("cpu"))
        for n, layer in enumerate(self.cache.layers):
            for part in PARTS:
                self.register_buffer(f"{part}_{n}", getattr(layer, part), persistent=False)

    def forward(self, ids, encoded):
        for n, layer in enumerate(self.cache.layers):
            for part in PARTS:
                setattr(layer, part, getattr(self, f"{part}_{n}"))
        cache = transformers.EncoderDecoderCache(self.cache, transformers.DynamicCache())
        given = {"encoder_hidden_states": encoded, "past_key_values": cache, "use_cache": True}
        return self.head(self.decoder(ids, **given)[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_eager(name):
    count = torch.export.Dim("count", max=CAPACITY)
    ids, encoded = torch.tensor([[5, 17, 3, 90]]), torch.randn(1, 11, WIDTH)
    shapes = {1: count}, None
    with torch.no_grad():
        given = (ids, encoded)
        program = torch.export.export(Decoder(name), given, dynamic_shapes=shapes, strict=False)
        session, eager = quake_tvm.compile(program, method="quake5").session(), Decoder(name)
        for _ in range(8):
            wanted = eager(ids, encoded)
            (got,) = session.run(ids.numpy(), encoded.numpy())
            np.testing.assert_allclose(got, wanted.numpy(), rtol=2e-4, atol=2e-5)
            ids = wanted[:, -1:].argmax(-1)
