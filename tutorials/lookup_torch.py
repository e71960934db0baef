"""Feed-forward layers of torch to train from scratch: products, and the paper's look-ups.

The look-ups have the parameters' names of the paper's code, so that
``quake_tvm.lookup.to_onnx(layer.state_dict())`` takes them. Gradients reach the hash through the
scores only: codes have none. Source: LookupFFN (arXiv 2403.07221). Knows no task.
"""

import math

import torch
from torch import Tensor, nn

# The paper's block of BH4, and the share of the transform; the rest is the input itself.
BLOCK, SHARE, TIMES = 64, 0.7, 4


class FeedForward(nn.Module):
    """A norm, a product to four times the width, GELU, and a product back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width) to rows (n, width)."""
        return self.layers(x)

    def operations(self) -> int:
        """Multiplications and additions for a row."""
        return 2 * sum(p.numel() for p in self.parameters() if p.ndim == 2)


class Dense(nn.Module):
    """A projection by a matrix of shape (columns, width)."""

    def __init__(self, width: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(columns, width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width) to rows (n, columns)."""
        return nn.functional.linear(x, self.weight, self.bias)

    def operations(self) -> int:
        """Multiplications and additions for a row."""
        return 2 * self.weight.numel()


class BH4(nn.Module):
    """Four times a block-diagonal product and a Hadamard transform, repeated to enough columns."""

    def __init__(self, width: int, columns: int) -> None:
        super().__init__()
        blocks = 1 << (-(-width // BLOCK) - 1).bit_length()
        self.padded = blocks * BLOCK
        repeats = -(-columns // self.padded)
        shape = repeats, TIMES, blocks, BLOCK, BLOCK
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(BLOCK * self.padded))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width) to rows (n, columns)."""
        repeats, _, blocks, size, _ = self.weight.shape
        x = nn.functional.pad(x, (0, self.padded - x.shape[1]))
        y = x.expand(repeats, *x.shape)
        for n in range(TIMES):
            rows = y.reshape(repeats, -1, blocks, size)
            y = hadamard(torch.einsum("rnbi,rboi->rnbo", rows, self.weight[:, n]).flatten(2))
        mixed = SHARE * y + (1 - SHARE) * x
        return mixed.transpose(0, 1).flatten(1)[:, : len(self.bias)] + self.bias

    def operations(self) -> int:
        """Multiplications and additions for a row."""
        transforms = self.weight.shape[0] * TIMES * self.padded * (self.padded.bit_length() - 1)
        return 2 * self.weight.numel() + transforms


def hadamard(x: Tensor) -> Tensor:
    """The Hadamard transform of the last axis, by signs: its size is a power of two."""
    size, step = x.shape[-1], 1
    y = x
    while step < size:
        pairs = y.reshape(*x.shape[:-1], size // (2 * step), 2, step)
        first, second = pairs.unbind(-2)
        y = torch.stack((first + second, first - second), -2).reshape(x.shape)
        step *= 2
    return y


class Hash(nn.Module):
    """The projection, under the name that it has in the paper's code."""

    def __init__(self, projection: Dense | BH4) -> None:
        super().__init__()
        self.projection = projection


class LookUp(nn.Module):
    """A norm, a projection, codes from its signs, and a weighted sum of the tables' rows."""

    def __init__(self, width: int, tables: int, bits: int, projection: type[Dense | BH4]) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(width)
        self.hash = Hash(projection(width, tables * bits))
        self.tables = nn.Parameter(0.02 * torch.randn(tables, 1 << bits, width))
        self.bias = nn.Parameter(torch.zeros(width))
        powers = 1 << torch.arange(bits - 1, -1, -1)
        self.register_buffer("powers", powers, persistent=False)
        self.register_buffer("starts", torch.arange(tables) << bits, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width) to rows (n, width)."""
        tables, _, width = self.tables.shape
        z = self.hash.projection(self.LayerNorm(x)).unflatten(1, (tables, -1))
        codes = ((z > 0) * self.powers).sum(-1) + self.starts
        size = z.abs()
        scores = size.sum(-1) * torch.exp(-nn.functional.softplus(-2 * size).sum(-1))
        found = nn.functional.embedding_bag(
            codes, self.tables.view(-1, width), per_sample_weights=scores, mode="sum"
        )
        return found + self.bias

    def operations(self) -> int:
        """Multiplications and additions for a row."""
        tables, _, width = self.tables.shape
        return self.hash.projection.operations() + 2 * tables * width


class Nothing(nn.Module):
    """Zeros."""

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width) to rows (n, width)."""
        return torch.zeros_like(x)

    def operations(self) -> int:
        """Multiplications and additions for a row."""
        return 0
