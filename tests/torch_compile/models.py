"""Ten models as plain torch modules, and an input of each. Knows no compiler."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

Built = tuple[nn.Module, tuple[torch.Tensor, ...]]
WIDTH, HEADS = 256, 8


def _encoder(layers: int, width: int = WIDTH) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        width, HEADS, 4 * width, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class _VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 16, 16)
        self.encoder, self.head = _encoder(3), nn.Linear(WIDTH, 100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return F.softmax(self.head(self.encoder(tokens).mean(1)), -1)


def _convolution(inputs: int, outputs: int, act: type[nn.Module], **options: int) -> nn.Module:
    groups = options.get("groups", 1)
    size = options.get("size", 3)
    conv = nn.Conv2d(
        inputs, outputs, size, options.get("stride", 1), size // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), act())


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def _residual_net() -> nn.Module:
    blocks = [
        _Residual(nn.Sequential(_convolution(64, 64, nn.ReLU), _convolution(64, 64, nn.ReLU)))
        for _ in range(4)
    ]
    stem = _convolution(3, 64, nn.ReLU, stride=4)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 100))


class _Excite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1),
            nn.SiLU(),
            nn.Conv2d(channels // 4, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def _mobile_net() -> nn.Module:
    def block() -> nn.Module:
        return _Residual(
            nn.Sequential(
                _convolution(32, 128, nn.SiLU, size=1),
                _convolution(128, 128, nn.SiLU, groups=128),
                _Excite(128),
                _convolution(128, 32, nn.Identity, size=1),
            )
        )

    stem = _convolution(3, 32, nn.SiLU, stride=4)
    return nn.Sequential(stem, *(block() for _ in range(4)), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = _convolution(3, 32, nn.SiLU), _convolution(32, 64, nn.SiLU)
        self.up = nn.ConvTranspose2d(64, 32, 2, 2)
        self.last = nn.Sequential(_convolution(64, 32, nn.SiLU), nn.Conv2d(32, 2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.first(x)
        coarse = self.down(F.max_pool2d(fine, 2))
        return torch.sigmoid(self.last(torch.cat([fine, self.up(coarse)], 1)))


class _DecoderStep(nn.Module):
    """One token against 256 kept keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.gate, self.up = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(WIDTH, 4 * WIDTH)
        self.down, self.norm = nn.Linear(4 * WIDTH, WIDTH), nn.LayerNorm(WIDTH)

    def forward(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        heads = (x.shape[0], x.shape[1], HEADS, WIDTH // HEADS)
        q, k, v = (t.view(heads).transpose(1, 2) for t in self.qkv(self.norm(x)).chunk(3, -1))
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        mixed = F.scaled_dot_product_attention(q, keys, values).transpose(1, 2).flatten(2)
        x = x + self.out(mixed)
        return x + self.down(F.silu(self.gate(x)) * self.up(x)), keys, values


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0])


class _Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(4))
        self.tokens = nn.ModuleList(_perceptron(64, 128) for _ in range(2))
        self.features = nn.ModuleList(_perceptron(WIDTH, 4 * WIDTH) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for k, (tokens, features) in enumerate(zip(self.tokens, self.features, strict=True)):
            x = x + tokens(self.norms[2 * k](x).transpose(1, 2)).transpose(1, 2)
            x = x + features(self.norms[2 * k + 1](x))
        return x


def _perceptron(width: int, inner: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class _Broken(nn.Module):
    """Python reads a number between two layers, which breaks the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _perceptron(WIDTH, 4 * WIDTH), _perceptron(WIDTH, 4 * WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if float(x.abs().max()) > 1e6:
            x = x / 2
        return self.second(x)


def _state(rows: int) -> torch.Tensor:
    return torch.randn(1, HEADS, rows, WIDTH // HEADS)


MODELS: dict[str, Callable[[], Built]] = {
    "encoder, 128 tokens": lambda: (_encoder(4), (torch.randn(1, 128, WIDTH),)),
    "encoder, 8 texts of 32 tokens": lambda: (_encoder(4), (torch.randn(8, 32, WIDTH),)),
    "vision transformer, 224x224": lambda: (_VisionTransformer(), (torch.randn(1, 3, 224, 224),)),
    "residual net, 224x224": lambda: (_residual_net(), (torch.randn(1, 3, 224, 224),)),
    "mobile net with SiLU, 224x224": lambda: (_mobile_net(), (torch.randn(1, 3, 224, 224),)),
    "U-Net, 128x128": lambda: (_UNet(), (torch.randn(1, 3, 128, 128),)),
    "decoder step, 256 keys": lambda: (
        _DecoderStep(),
        (torch.randn(1, 1, WIDTH), _state(256), _state(256)),
    ),
    "LSTM, 32 steps": lambda: (_Recurrent(), (torch.randn(4, 32, 64),)),
    "mixer, 64 tokens": lambda: (_Mixer(), (torch.randn(1, 64, WIDTH),)),
    "perceptrons with a graph break": lambda: (_Broken(), (torch.randn(64, WIDTH),)),
}
