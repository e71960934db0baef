"""A Llama as a torch module, from random weights or from a GGUF file. Knows no norm but its own.

The norms' function can be replaced, to try other arithmetic.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# (x, gamma, epsilon, number of the norm) to the norm's result.
Norm = Callable[[Tensor, Tensor, float, int], Tensor]


@dataclass(frozen=True)
class Sizes:
    """Of a model."""

    layers: int
    width: int
    inner: int
    heads: int
    pairs: int  # of keys and values
    vocabulary: int
    base: float = 1e4
    epsilon: float = 1e-5


def exact(x: Tensor, gamma: Tensor, epsilon: float, number: int) -> Tensor:
    """The norm as models write it."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * gamma


class Llama(nn.Module):
    """Tokens ``(1, length)`` to logits ``(1, length, vocabulary)``.

    Parameters
    ----------
    sizes : Sizes
    weights : mapping of name to Tensor
        Under the names that GGUF files have.
    """

    def __init__(self, sizes: Sizes, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.sizes, self.norm = sizes, exact
        for name, weight in weights.items():
            self.register_buffer(name.replace(".", "_"), weight)

    def _weight(self, name: str) -> Tensor:
        return getattr(self, f"{name}_weight".replace(".", "_"))

    def _normal(self, x: Tensor, name: str, number: int) -> Tensor:
        return self.norm(x, self._weight(name), self.sizes.epsilon, number)

    def forward(self, tokens: Tensor) -> Tensor:
        table = self._weight("token_embd")
        x = F.embedding(tokens, table)
        angles = self._angles(tokens.shape[1])
        for n in range(self.sizes.layers):
            x = x + self._attention(self._normal(x, f"blk.{n}.attn_norm", 2 * n), n, angles)
            x = x + self._feed_forward(self._normal(x, f"blk.{n}.ffn_norm", 2 * n + 1), n)
        return F.linear(self._normal(x, "output_norm", 2 * self.sizes.layers), table)

    def _angles(self, length: int) -> tuple[Tensor, Tensor]:
        depth = self.sizes.width // self.sizes.heads
        rates = self.sizes.base ** (-torch.arange(0, depth, 2) / depth)
        turns = torch.arange(length)[:, None] * rates
        return turns.cos(), turns.sin()

    def _attention(self, x: Tensor, n: int, angles: tuple[Tensor, Tensor]) -> Tensor:
        q, k, v = (self._heads(F.linear(x, self._weight(f"blk.{n}.attn_{w}"))) for w in "qkv")
        q, k = self._turned(q, angles), self._turned(k, angles)
        repeats = self.sizes.heads // self.sizes.pairs
        k, v = (t.repeat_interleave(repeats, dim=1) for t in (k, v))
        length = x.shape[1]
        future = torch.full((length, length), -1e9).triu(1)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + future
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        return F.linear(mixed, self._weight(f"blk.{n}.attn_output"))

    def _heads(self, x: Tensor) -> Tensor:
        depth = self.sizes.width // self.sizes.heads
        return x.reshape(1, x.shape[1], x.shape[2] // depth, depth).transpose(1, 2)

    def _turned(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Rotary positions: of neighbouring features, as GGUF files order them."""
        cos, sin = angles
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1)
        return turned.reshape(x.shape)

    def _feed_forward(self, x: Tensor, n: int) -> Tensor:
        gate, up = (F.linear(x, self._weight(f"blk.{n}.ffn_{w}")) for w in ("gate", "up"))
        return F.linear(F.silu(gate) * up, self._weight(f"blk.{n}.ffn_down"))


def random(sizes: Sizes, seed: int, growth: float) -> Llama:
    """A model of random weights whose feed-forward networks add rows of about this length."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    d, inner = sizes.width, sizes.inner
    kept = d // sizes.heads * sizes.pairs
    weights = {
        "token_embd.weight": normal(sizes.vocabulary, d),
        "output_norm.weight": torch.ones(d),
    }
    for n in range(sizes.layers):
        layer = {
            "attn_norm": torch.ones(d),
            "attn_q": normal(d, d),
            "attn_k": normal(kept, d),
            "attn_v": normal(kept, d),
            "attn_output": normal(d, d),
            "ffn_norm": torch.ones(d),
            "ffn_gate": normal(inner, d),
            "ffn_up": normal(inner, d),
            "ffn_down": normal(d, inner) * growth,
        }
        weights |= {f"blk.{n}.{name}.weight": weight for name, weight in layer.items()}
    return Llama(sizes, weights)


def read(path: Path) -> tuple[Llama, Any]:
    """The model of a GGUF file and its tokenizer, of the package tokenizers."""
    import gguf

    reader = gguf.GGUFReader(path)

    def field(name: str) -> Any:
        return reader.fields[name].contents()

    sizes = Sizes(
        layers=field("llama.block_count"),
        width=field("llama.embedding_length"),
        inner=field("llama.feed_forward_length"),
        heads=field("llama.attention.head_count"),
        pairs=field("llama.attention.head_count_kv"),
        vocabulary=field("llama.vocab_size"),
        base=field("llama.rope.freq_base"),
        epsilon=field("llama.attention.layer_norm_rms_epsilon"),
    )
    weights = {}
    for tensor in reader.tensors:
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[tensor.name] = torch.from_numpy(np.array(numbers, np.float32))
    return Llama(sizes, weights), _tokenizer(field)


def _tokenizer(field: Callable[[str], Any]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = {word: n for n, word in enumerate(field("tokenizer.ggml.tokens"))}
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(words, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
