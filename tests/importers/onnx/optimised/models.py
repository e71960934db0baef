"""Small models with random weights, in the forms in which PyTorch's exporter has long written them.

ONNX Runtime's tool recognises these forms. Knows nothing of this library.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS, LENGTH, WORDS = 64, 4, 16, 50
_LOW = -10000.0


@dataclass(frozen=True)
class Model:
    """A model to optimise.

    Attributes
    ----------
    build : callable
        The module.
    inputs : mapping of name to tensor
    kind : str
        What ONNX Runtime's tool calls such a model.
    axes : mapping of input name to mapping of dimension to name
        The open dimensions.
    """

    build: Callable[[], nn.Module]
    inputs: dict[str, torch.Tensor]
    kind: str
    axes: dict[str, dict[int, str]] = field(default_factory=dict)


def _heads(x: torch.Tensor) -> torch.Tensor:
    return x.view(*x.shape[:-1], HEADS, WIDTH // HEADS).permute(0, 2, 1, 3)


def _joined(x: torch.Tensor) -> torch.Tensor:
    x = x.permute(0, 2, 1, 3).contiguous()
    return x.view(*x.shape[:-2], WIDTH)


class _Attention(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH, bias)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        scale: float = 1 / math.sqrt(WIDTH // HEADS),
    ) -> torch.Tensor:
        q, k, v = (_heads(part(x)) for part in (self.query, self.key, self.value))
        scores = torch.matmul(q, k.transpose(-1, -2))
        scores = scores if scale == 1 else scores / (1 / scale)
        scores = scores if mask is None else scores + mask
        return self.out(_joined(torch.matmul(torch.softmax(scores, -1), v)))


class _Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.segments, self.norm = nn.Embedding(2, WIDTH), nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(_BertLayer() for _ in range(2))
        self.register_buffer("ids", torch.arange(LENGTH).expand(1, -1))

    def forward(
        self, input_ids: torch.Tensor, token_type_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        x = self.words(input_ids) + self.segments(token_type_ids)
        x = self.norm(x + self.places(self.ids[:, : input_ids.shape[1]]))
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * _LOW
        for layer in self.layers:
            x = layer(x, mask)
        return x


class _BertLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.first = _Attention(), nn.LayerNorm(WIDTH, 1e-12)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.second = nn.LayerNorm(WIDTH, 1e-12)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.first(self.attention(x, mask) + x)
        return self.second(self.down(functional.gelu(self.up(x))) + x)


class _Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, 17, WIDTH))
        self.layers = nn.ModuleList(_PreNorm(functional.gelu) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for layer in self.layers:
            x = layer(x, None)
        return self.norm(x)


class _PreNorm(nn.Module):
    def __init__(self, activation: Callable) -> None:
        super().__init__()
        self.activation, self.attention = activation, _Attention()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        x = self.attention(self.first(x), mask) + x
        return self.down(self.activation(self.up(self.second(x)))) + x


class _Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(2 * LENGTH, WIDTH)
        self.layers = nn.ModuleList(_GptLayer() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS, bias=False)

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        past_0: torch.Tensor,
        past_1: torch.Tensor,
    ) -> list[torch.Tensor]:
        x, presents = self.words(input_ids) + self.places(position_ids), []
        for layer, past in zip(self.layers, (past_0, past_1), strict=True):
            x, present = layer(x, past)
            presents.append(present)
        return [self.head(self.norm(x)), *presents]


class _GptLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.all, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        ones = torch.ones(2 * LENGTH, 2 * LENGTH, dtype=torch.bool)
        self.register_buffer("seen", ones.tril()[None, None])

    def forward(self, x: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q, k, v = (_heads(part) for part in self.all(self.first(x)).split(WIDTH, dim=2))
        k, v = torch.cat([past[0], k], -2), torch.cat([past[1], v], -2)
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS)
        count, total = scores.shape[-2:]
        seen = self.seen[:, :, total - count : total, :total]
        scores = torch.where(seen, scores, torch.tensor(_LOW, dtype=scores.dtype))
        x = self.out(_joined(torch.matmul(torch.softmax(scores, -1), v))) + x
        wide = self.up(self.second(x))
        inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * torch.pow(wide, 3.0))
        return self.down(0.5 * wide * (1.0 + torch.tanh(inner))) + x, torch.stack([k, v])


class _T5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.near = nn.Embedding(WORDS, WIDTH), nn.Embedding(2 * LENGTH, HEADS)
        self.layers = nn.ModuleList(_T5Layer() for _ in range(2))
        self.norm = _RmsNorm()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x, places = self.words(input_ids), torch.arange(input_ids.shape[1])
        near = self.near(places[None, :] - places[:, None] + LENGTH).permute(2, 0, 1)[None]
        mask = near + (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * _LOW
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class _T5Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.first, self.second = _Attention(bias=False), _RmsNorm(), _RmsNorm()
        self.up, self.down = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.first(x), mask, 1.0)
        return x + self.down(functional.relu(self.up(self.second(x))))


class _RmsNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean + 1e-6))


class _Unet(nn.Module):
    """A residual block with group norms, attention over pixels, and a gated product."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4, WIDTH, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, WIDTH) for _ in range(3))
        self.convolutions = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.time = nn.Linear(WIDTH, WIDTH)
        self.first, self.attention = nn.LayerNorm(WIDTH), _Attention(bias=False)
        self.second, self.up = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 8 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, sample: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        x = self.enter(sample)
        y = self.convolutions[0](functional.silu(self.norms[0](x)))
        y = y + self.time(functional.silu(time))[:, :, None, None]
        x = x + self.convolutions[1](functional.silu(self.norms[1](y)))
        rows = self.norms[2](x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, WIDTH)
        rows = self.attention(self.first(rows)) + rows
        wide, gate = self.up(self.second(rows)).chunk(2, dim=-1)
        rows = self.down(wide * functional.gelu(gate)) + rows
        return rows.reshape(*x.shape[:1], *x.shape[2:], WIDTH).permute(0, 3, 1, 2) + x


class _Convolutions(nn.Module):
    """A plain, a depthwise and a squeezing block, as in MobileNetV3."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish()
        )
        self.wide = nn.Sequential(nn.Conv2d(16, 64, 1), nn.BatchNorm2d(64), nn.ReLU6())
        self.deep = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.BatchNorm2d(64), nn.SiLU()
        )
        self.squeezed = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(64, 8, 1), nn.ReLU(), nn.Conv2d(8, 64, 1)
        )
        self.narrow = nn.Sequential(nn.Conv2d(64, 16, 1), nn.BatchNorm2d(16))
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(16, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.enter(pixels)
        y = self.deep(self.wide(x))
        y = self.narrow(y * functional.hardsigmoid(self.squeezed(y)))
        return self.head(self.pool(functional.leaky_relu(x + y, 0.1)).mean((2, 3)))


def _ids(batch: int, high: int) -> torch.Tensor:
    return torch.randint(0, high, (batch, LENGTH))


def _mask() -> torch.Tensor:
    return (torch.arange(LENGTH) < torch.tensor([[LENGTH], [LENGTH - 5]])).to(torch.int64)


def models() -> dict[str, Model]:
    """The models by name, with the same inputs each time."""
    torch.manual_seed(0)
    past = {f"past_{k}": torch.randn(2, 1, HEADS, LENGTH, WIDTH // HEADS) for k in range(2)}
    ids, mask = {"input_ids": _ids(2, WORDS)}, {"attention_mask": _mask()}
    open_ = {0: "batch", 1: "length"}
    places = {"input_ids": open_, "position_ids": open_}
    places |= {name: {1: "batch", 3: "past"} for name in past}
    pixels = {"pixels": torch.randn(1, 3, 32, 32)}
    return {
        "BERT": Model(
            _Bert,
            {**ids, "token_type_ids": _ids(2, 2), **mask},
            "bert",
            dict.fromkeys(("input_ids", "token_type_ids", "attention_mask"), open_),
        ),
        "ViT": Model(_Vit, pixels, "vit"),
        "GPT-2": Model(
            _Gpt,
            {
                "input_ids": _ids(1, WORDS),
                "position_ids": torch.arange(LENGTH, 2 * LENGTH)[None],
                **past,
            },
            "gpt2",
            places,
        ),
        "T5 encoder": Model(_T5, ids | mask, "t5", dict.fromkeys(ids | mask, open_)),
        "U-Net block": Model(
            _Unet, {"sample": torch.randn(1, 4, 8, 8), "time": torch.randn(1, WIDTH)}, "unet"
        ),
        "convolutions": Model(_Convolutions, pixels, "vae"),
    }
