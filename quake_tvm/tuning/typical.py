"""Typical layers of models, with random weights, on which the shipped records are tuned.

There is one encoder layer of each transformer, since all of its layers are alike, and the
convolutional networks as a whole. Knows shapes only: no target, no schedule.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax
from tvm.relax import BlockBuilder as Block


@dataclass(frozen=True)
class Encoder:
    """A transformer's encoder layer with GELU.

    Attributes
    ----------
    tokens, width, heads, hidden : int
    first : bool
        Whether the norms come first (ViT) or last (BERT).
    """

    tokens: int
    width: int
    heads: int
    hidden: int
    first: bool


# MiniLM: arXiv 2002.10957; BERT: 1810.04805; ViT (224 pixels, patches of 16): 2010.11929.
ENCODERS = {
    "minilm": Encoder(128, 384, 12, 1536, first=False),
    "bert-base": Encoder(128, 768, 12, 3072, first=False),
    "vit-small": Encoder(197, 384, 6, 1536, first=True),
    "vit-base": Encoder(197, 768, 12, 3072, first=True),
}
# (kernel, expansion, channels, repeats, stride) of inverted residual blocks.
# arXiv 1801.04381, table 2.
MOBILENET_V2 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (3, 6, 32, 3, 2),
    (3, 6, 64, 4, 2),
    (3, 6, 96, 3, 1),
    (3, 6, 160, 3, 2),
    (3, 6, 320, 1, 1),
)
# arXiv 1905.11946, table 1.
EFFICIENTNET_B0 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
PIXELS, STEM, HEAD, CLASSES = 224, 32, 1280, 1000


def models() -> dict[str, tvm.IRModule]:
    """All layers and networks by name."""
    networks = {"mobilenet-v2": mobilenet_v2(), "efficientnet-b0": efficientnet_b0()}
    return {name: encoder(each) for name, each in ENCODERS.items()} | networks


class _Weights:
    """Random constants, different ones for each call."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def __call__(self, *shape: int) -> relax.Expr:
        scale = 1 / np.sqrt(max(1, math.prod(shape[1:])))
        return relax.const(self._generator.normal(0, scale, shape).astype(np.float32))


def _module(
    shape: tuple[int, ...], network: Callable[[Block, relax.Expr], relax.Expr]
) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(network(builder, x))
        builder.emit_func_output(out)
    return builder.get()


def encoder(layer: Encoder) -> tvm.IRModule:
    """One encoder layer over (1, tokens, width)."""
    weights, op = _Weights(), relax.op
    each = layer.width // layer.heads

    def dense(b: Block, x: relax.Expr, inputs: int, outputs: int) -> relax.Expr:
        return b.emit(op.add(b.emit(op.matmul(x, weights(inputs, outputs))), weights(outputs)))

    def norm(b: Block, x: relax.Expr) -> relax.Expr:
        return b.emit(op.nn.layer_norm(x, weights(layer.width), weights(layer.width), axes=-1))

    def heads(b: Block, x: relax.Expr) -> relax.Expr:
        split = b.emit(op.reshape(x, (1, layer.tokens, layer.heads, each)))
        return b.emit(op.permute_dims(split, (0, 2, 1, 3)))

    def attention(b: Block, x: relax.Expr) -> relax.Expr:
        q, k, v = (heads(b, dense(b, x, layer.width, layer.width)) for _ in range(3))
        scores = b.emit(op.matmul(q, b.emit(op.permute_dims(k, (0, 1, 3, 2)))))
        scaled = b.emit(op.multiply(scores, relax.const(each**-0.5, "float32")))
        mixed = b.emit(op.matmul(b.emit(op.nn.softmax(scaled, axis=-1)), v))
        joined = b.emit(op.permute_dims(mixed, (0, 2, 1, 3)))
        flat = b.emit(op.reshape(joined, (1, layer.tokens, layer.width)))
        return dense(b, flat, layer.width, layer.width)

    def hidden(b: Block, x: relax.Expr) -> relax.Expr:
        activated = b.emit(op.nn.gelu(dense(b, x, layer.width, layer.hidden)))
        return dense(b, activated, layer.hidden, layer.width)

    def network(b: Block, x: relax.Expr) -> relax.Expr:
        for part in (attention, hidden):
            if layer.first:
                x = b.emit(op.add(part(b, norm(b, x)), x))
            else:
                x = norm(b, b.emit(op.add(part(b, x), x)))
        return x

    return _module((1, layer.tokens, layer.width), network)


def mobilenet_v2() -> tvm.IRModule:
    """MobileNetV2 over (1, 3, 224, 224), with ReLU6."""

    def relu6(b: Block, x: relax.Expr) -> relax.Expr:
        return b.emit(relax.op.clip(x, 0, 6))

    return _inverted_residuals(MOBILENET_V2, relu6, squeezed=False)


def efficientnet_b0() -> tvm.IRModule:
    """EfficientNet-B0 over (1, 3, 224, 224), with SiLU and a sigmoid gate in every block."""

    def silu(b: Block, x: relax.Expr) -> relax.Expr:
        return b.emit(relax.op.nn.silu(x))

    return _inverted_residuals(EFFICIENTNET_B0, silu, squeezed=True)


def _inverted_residuals(
    table: tuple[tuple[int, ...], ...],
    activation: Callable[[Block, relax.Expr], relax.Expr],
    squeezed: bool,
) -> tvm.IRModule:
    weights, op = _Weights(), relax.op

    def convolution(
        b: Block, x: relax.Expr, channels: int, size: int = 1, stride: int = 1, groups: int = 1
    ) -> relax.Expr:
        inputs = int(x.ty.shape[1]) // groups
        out = op.nn.conv2d(
            x,
            weights(channels, inputs, size, size),
            strides=stride,
            padding=(size - 1) // 2,
            groups=groups,
        )
        return b.emit(op.add(b.emit(out), weights(1, channels, 1, 1)))

    def gate(b: Block, x: relax.Expr, reduced: int) -> relax.Expr:
        mean = b.emit(op.mean(x, (2, 3), keepdims=True))
        small = activation(b, convolution(b, mean, reduced))
        factor = b.emit(op.sigmoid(convolution(b, small, int(x.ty.shape[1]))))
        return b.emit(op.multiply(x, factor))

    def block(
        b: Block, x: relax.Expr, size: int, expansion: int, channels: int, stride: int
    ) -> relax.Expr:
        inputs = int(x.ty.shape[1])
        wide, y = inputs * expansion, x
        if expansion > 1:
            y = activation(b, convolution(b, y, wide))
        y = activation(b, convolution(b, y, wide, size, stride, groups=wide))
        if squeezed:
            y = gate(b, y, max(1, inputs // 4))
        y = convolution(b, y, channels)
        return b.emit(op.add(y, x)) if stride == 1 and inputs == channels else y

    def blocks() -> Iterator[tuple[int, int, int, int]]:
        for size, expansion, channels, repeats, stride in table:
            for n in range(repeats):
                yield size, expansion, channels, stride if n == 0 else 1

    def network(b: Block, x: relax.Expr) -> relax.Expr:
        x = activation(b, convolution(b, x, STEM, 3, 2))
        for each in blocks():
            x = block(b, x, *each)
        x = activation(b, convolution(b, x, HEAD))
        pooled = b.emit(op.mean(x, (2, 3)))
        logits = b.emit(op.matmul(pooled, weights(HEAD, CLASSES)))
        return b.emit(op.nn.softmax(b.emit(op.add(logits, weights(CLASSES))), axis=-1))

    return _module((1, 3, PIXELS, PIXELS), network)
