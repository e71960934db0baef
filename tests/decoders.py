"""A small decoder in torch whose cache is a buffer, as transformers exports its own."""

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY, CAPACITY, HEADS, GROUP, DEPTH = 50, 24, 2, 3, 16


class Decoder(nn.Module):
    """One layer of attention over all tokens so far, of which a group of heads shares keys."""

    def __init__(self, batch=1, capacity=CAPACITY):
        super().__init__()
        torch.manual_seed(0)
        self.capacity = capacity
        width = HEADS * GROUP * DEPTH
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.q = nn.Linear(width, width, bias=False)
        self.k, self.v = (nn.Linear(width, HEADS * DEPTH, bias=False) for _ in range(2))
        self.out, self.head = nn.Linear(width, width), nn.Linear(width, VOCABULARY)
        shape = batch, HEADS, capacity, DEPTH
        self.register_buffer("keys", torch.zeros(shape))
        self.register_buffer("values", torch.zeros(shape))
        self.register_buffer("length", torch.tensor(0))

    def forward(self, ids):
        batch, count = ids.shape
        x = self.embedding(ids)
        positions = torch.arange(count) + self.length
        q = self.q(x).view(batch, count, -1, DEPTH).transpose(1, 2)
        k, v = (f(x).view(batch, count, HEADS, DEPTH).transpose(1, 2) for f in (self.k, self.v))
        self.length.add_(count)
        self.keys.index_copy_(2, positions, k)
        self.values.index_copy_(2, positions, v)
        mask = (torch.arange(self.capacity)[None, :] <= positions[:, None])[None, None]
        shape = batch, HEADS, GROUP, self.capacity, DEPTH
        keys, values = (
            t[:, :, None].expand(shape).reshape(batch, HEADS * GROUP, self.capacity, DEPTH)
            for t in (self.keys, self.values)
        )
        y = F.scaled_dot_product_attention(q, keys, values, mask)
        x = x + self.out(y.transpose(1, 2).reshape(batch, count, -1))
        return self.head(x[:, -1:])


def exported(decoder):
    """The decoder's program for any number of new tokens."""
    count = torch.export.Dim("count", max=decoder.capacity)
    ids = torch.zeros(decoder.keys.shape[0], 5, dtype=torch.long)
    with torch.no_grad():
        return torch.export.export(decoder, (ids,), dynamic_shapes=({1: count},))
