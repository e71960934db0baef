"""The Llama of ``llama.py`` with a cache of keys and values, for one conversation.

Tokens are the new ones only; logits are those of the last one only.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llama import Llama


class CachedLlama(nn.Module):
    """Tokens ``(1, count)`` that follow the earlier calls' to logits ``(1, 1, vocabulary)``.

    Parameters
    ----------
    model : Llama
        Its weights are shared.
    capacity : int
        The most tokens of a conversation.
    every : bool
        Whether there are logits of all tokens, as perplexity needs them.
    """

    def __init__(self, model: Llama, capacity: int, every: bool = False) -> None:
        super().__init__()
        self.model, self.sizes, self.every = model, model.sizes, every
        self.capacity = capacity
        depth = self.sizes.width // self.sizes.heads
        for n in range(self.sizes.layers):
            for name in ("keys", "values"):
                empty = torch.zeros(1, self.sizes.pairs, capacity, depth)
                self.register_buffer(f"{name}_{n}", empty)
        self.register_buffer("length", torch.tensor(0))
        rates = self.sizes.base ** (-torch.arange(0, depth, 2) / depth)
        turns = torch.arange(capacity)[:, None] * rates
        self.register_buffer("cos", turns.cos())
        self.register_buffer("sin", turns.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        model = self.model
        table = model._weight("token_embd")
        positions = torch.arange(tokens.shape[1]) + self.length
        self.length.add_(tokens.shape[1])
        angles = self.cos[positions], self.sin[positions]
        x = F.embedding(tokens, table)
        for n in range(self.sizes.layers):
            normal = model._normal(x, f"blk.{n}.attn_norm", 2 * n)
            x = x + self._attention(normal, n, positions, angles)
            x = x + model._feed_forward(model._normal(x, f"blk.{n}.ffn_norm", 2 * n + 1), n)
        x = x if self.every else x[:, -1:]
        return F.linear(model._normal(x, "output_norm", 2 * self.sizes.layers), table)

    def _attention(
        self, x: Tensor, n: int, positions: Tensor, angles: tuple[Tensor, Tensor]
    ) -> Tensor:
        model = self.model
        q, k, v = (model._heads(F.linear(x, model._weight(f"blk.{n}.attn_{w}"))) for w in "qkv")
        q, k = model._turned(q, angles), model._turned(k, angles)
        mixed = self._mixed(n, q, k, v, positions).transpose(1, 2).reshape(x.shape)
        return F.linear(mixed, model._weight(f"blk.{n}.attn_output"))

    def _mixed(self, n: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
        """Attention to all tokens so far, after the new ones are in the cache."""
        keys, values = getattr(self, f"keys_{n}"), getattr(self, f"values_{n}")
        keys.index_copy_(2, positions, k)
        values.index_copy_(2, positions, v)
        seen = torch.arange(self.capacity)[None] <= positions[:, None]
        return F.scaled_dot_product_attention(q, keys, values, seen, enable_gqa=True)


def exported(decoder: CachedLlama) -> torch.export.ExportedProgram:
    """The decoder's program for any number of new tokens."""
    count = torch.export.Dim("count", max=decoder.capacity)
    tokens = torch.zeros(1, 5, dtype=torch.long)
    with torch.no_grad():
        return torch.export.export(decoder, (tokens,), dynamic_shapes=({1: count},))
