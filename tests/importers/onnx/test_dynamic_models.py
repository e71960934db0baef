"""Models of any batch, length and image size, as torch's exporter writes them."""

import io

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional

import quake_tvm

TEXTS = [(1, 1), (2, 5), (3, 8), (2, 0)]
IMAGES = [(1, 8, 8), (2, 9, 12), (1, 17, 10)]


class Text(nn.Module):
    """A module of token ids of (batch, length)."""

    sizes = TEXTS

    @staticmethod
    def inputs(batch, length):
        ids = torch.arange(batch * length).reshape(batch, length) % 7
        return ids, {"input": {0: "batch", 1: "length"}}


class Sequence(nn.Module):
    """A module of rows of (batch, length, 8)."""

    sizes = TEXTS

    @staticmethod
    def inputs(batch, length):
        x = torch.linspace(-2, 2, batch * length * 8).reshape(batch, length, 8)
        return x, {"input": {0: "batch", 1: "length"}}


class Image(nn.Module):
    """A module of images of (batch, 4, height, width)."""

    sizes = IMAGES

    @staticmethod
    def inputs(batch, height, width):
        x = torch.linspace(-2, 2, batch * 4 * height * width).sin()
        x = x.reshape(batch, 4, height, width)
        return x, {"input": {0: "batch", 2: "height", 3: "width"}}


class Positions(Text):
    """Position ids from a table of 8, as BERT's."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(7, 4), nn.Embedding(8, 4)
        self.register_buffer("position_ids", torch.arange(8)[None])

    def forward(self, x):
        return self.words(x) + self.places(self.position_ids[:, : x.size(1)])


class PositionsPlusTwo(Text):
    """Position ids that are counted, as RoBERTa's and OPT's."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(7, 4), nn.Embedding(12, 4)

    def forward(self, x):
        ids = torch.arange(2, x.size(1) + 2).unsqueeze(0).expand(x.size(0), -1)
        return self.words(x) + self.places(ids)


class ExpandedMask(Text):
    """The mask of padding, expanded to all pairs."""

    def forward(self, x):
        mask = (x > 0).float()[:, None, None, :]
        mask = mask.expand(x.size(0), 1, x.size(1), x.size(1))
        return (1 - mask).masked_fill((1 - mask).bool(), -1e4)


class CausalMask(Text):
    """The mask of later tokens, as transformers make it."""

    def forward(self, x):
        length = x.size(1)
        mask = torch.full((length, length), -1e4)
        places = torch.arange(length)
        mask = mask.masked_fill(places < (places + 1).view(length, 1), 0.0)
        mask = mask[None, None].expand(x.size(0), 1, length, length)
        return mask + x[:, None, None, :].float()


class Triangle(Text):
    """The mask of later tokens by triu."""

    def forward(self, x):
        return torch.ones(x.size(1), x.size(1)).triu(1) * x[:, None, :].float()


class Buckets(Text):
    """Buckets of relative positions, as T5's."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Embedding(32, 2)

    def forward(self, x):
        place = torch.arange(x.size(1))
        relative = place[None, :] - place[:, None]
        buckets = (relative > 0).long() * 16
        relative = relative.abs()
        large = 8 + (torch.log(relative.float() / 8) / np.log(16.0) * 8).long()
        large = torch.min(large, torch.full_like(large, 15))
        buckets = buckets + torch.where(relative < 8, relative, large)
        return self.bias(buckets).permute(2, 0, 1)[None] + x[:, None, None, :].float()


class Heads(Sequence):
    """Attention whose heads are views of rows."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x):
        batch, length, _ = x.shape
        rows = self.project(x).view(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        q, k, v = rows[0], rows[1], rows[2]
        p = (q @ k.transpose(-1, -2) / k.size(-1) ** 0.5).softmax(-1)
        return (p @ v).transpose(1, 2).reshape(batch, length, 8)


class Rows(Sequence):
    """Sizes that are multiplied, divided and filled in."""

    sizes = TEXTS[:-1]  # a product of 0 would mean "copy the extent" to ONNX's Reshape

    def forward(self, x):
        batch, length, _ = x.shape
        flat = x.flatten(1)
        blocks = x.reshape(batch * length, 2, -1)
        zeros = torch.zeros(batch, length // 2, 8)
        joined = torch.cat([x, zeros], 1)
        return flat, blocks, joined, x.repeat(1, length, 2), x.mean(1) * length


class Halves(Sequence):
    """Parts of an axis whose length varies."""

    sizes = TEXTS[:-1]

    def forward(self, x):
        half = x.size(1) // 2
        return x[:, :half], x[:, half:], x[:, -1], x[:, : x.size(1) - 1], x[:, ::2], x[:, 1:-1]


class Padded(Sequence):
    """The length filled up to a multiple of 4, and cut again."""

    def forward(self, x):
        length = x.size(1)
        filled = functional.pad(x, (0, 0, 0, (4 - length % 4) % 4))
        windows = filled.reshape(x.size(0), -1, 4, 8).mean(2)
        return windows, filled.softmax(-1)[:, :length]


class Skips(Image):
    """Strided convolutions, and skip connections that are resized to each other."""

    def __init__(self, mode):
        super().__init__()
        self.mode = mode
        self.first, self.second = nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.last = nn.Conv2d(8, 4, 3, 1, 1)

    def forward(self, x):
        high = self.first(x).relu()
        low = self.second(high).relu()
        low = functional.interpolate(low, size=high.shape[2:], mode=self.mode)
        return functional.interpolate(self.last(torch.cat([low, high], 1)), size=x.shape[2:])


class Corners(Image):
    """Images resized by their corners, by a factor, and to a part."""

    def forward(self, x):
        height, width = x.shape[2:]
        half = (height // 2, width // 2)
        return (
            functional.interpolate(x, size=half, mode="bilinear", align_corners=True),
            functional.interpolate(x, size=half, mode="bicubic", align_corners=False),
            functional.interpolate(x, size=half, mode="nearest"),
            functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False),
        )


class Shuffles(Image):
    """Pixels moved between channels and places, and pooled."""

    def forward(self, x):
        batch, channels, height, width = x.shape
        x = functional.pixel_shuffle(x, 2)
        x = x.view(batch, channels // 4, height * 2, width, 2).permute(0, 1, 4, 2, 3)
        x = x.reshape(batch, -1, height * 2, width)
        return x, x.mean((2, 3)), functional.adaptive_avg_pool2d(x, 1).flatten(1)


class Grid(Image):
    """Coordinates of all pixels, as detectors make them, and reflected borders."""

    def forward(self, x):
        height, width = x.shape[2:]
        y, z = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack([z, y], -1).reshape(1, -1, 2).float()
        points = x.flatten(2).transpose(1, 2)[..., :2] + grid
        down, right = (8 - height % 8) % 8, (8 - width % 8) % 8
        return points, functional.pad(x, (0, right, 0, down), mode="reflect")


class Windows(Image):
    """Images cut into windows of 4 by 4, as Swin's, after their borders are filled up."""

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        batch, height, width, channels = x.shape
        x = functional.pad(x, (0, 0, 0, (4 - width % 4) % 4, 0, (4 - height % 4) % 4))
        _, full, wide, _ = x.shape
        x = x.view(batch, full // 4, 4, wide // 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        rows = x.contiguous().view(-1, 16, channels).softmax(1)
        x = rows.view(batch, full // 4, wide // 4, 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        return x.contiguous().view(batch, full, wide, channels)[:, :height, :width]


def _exported(module):
    x, axes = module.inputs(*module.sizes[1])
    file = io.BytesIO()
    torch.onnx.export(
        module.eval(), (x,), file, input_names=["input"], dynamic_axes=axes, dynamo=False
    )
    return onnx.load_from_string(file.getvalue())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "module",
    [
        Positions, PositionsPlusTwo, ExpandedMask, CausalMask, Triangle, Buckets, Heads, Rows,
        Halves, Padded, lambda: Skips("nearest"), lambda: Skips("bilinear"), Corners, Shuffles,
        Grid, Windows,
    ],
    ids=lambda module: module.__name__,
)  # fmt: skip
def test_models_at_several_sizes(module):
    torch.manual_seed(0)
    module = module()
    model = _exported(module)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    compiled = quake_tvm.compile(model, method="exact")
    for sizes in module.sizes:
        x = module.inputs(*sizes)[0].numpy()
        wanted = session.run(None, {"input": x})
        for got, want in zip(compiled.run(x), wanted, strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=str(sizes))


@pytest.mark.filterwarnings("ignore")
def test_tables_limit_a_length():
    model = _exported(Positions())
    compiled = quake_tvm.compile(model)
    assert compiled.run(np.zeros((1, 8), np.int64))[0].shape == (1, 8, 4)
    with pytest.raises(quake_tvm.QuakeError, match="length <= 8, got length = 9"):
        compiled.run(np.zeros((1, 9), np.int64))


@pytest.mark.parametrize("operator", ["Add", "Max"])
def test_sizes_that_differ_are_refused_where_only_the_shape_is_used(operator):
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[a, b] x, float[a, c] y) => (int64 s)'
        f"{{ t = {operator}(x, y) s = Size(t) }}"
    )
    built = quake_tvm.compile(model)
    x, y = np.zeros((7, 1), np.float32), np.zeros((7, 33), np.float32)
    assert built.run(y, y)[0] == y.size
    with pytest.raises(quake_tvm.QuakeError, match="c == b, got c = 33, b = 1"):
        built.run(x, y)
