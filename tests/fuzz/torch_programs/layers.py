"""Steps that are layers: products, convolutions, norms, pools, resizing, attention, recurrence."""

import torch

from .choices import Choices

_RESIZE = (
    *("size=%s, mode='nearest'", "size=%s, mode='bilinear'", "size=%s, mode='bicubic'"),
    *("size=%s, mode='bilinear', align_corners=True", "size=%s, mode='nearest-exact'"),
    *("size=%s, mode='bilinear', antialias=True", "size=%s, mode='area'"),
)


def linear(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() > 0)) is None:
        return None
    bias = c.chance(0.7)
    module = c.module(f"nn.Linear({c.shape(x)[-1]}, {c.rng.randint(1, 40)}, bias={bias})")
    return f"{module}({x})"


def product(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dim() >= 2 and v.dtype != torch.bool)) is None:
        return None
    choices = [f"{x} @ {x}.mT", f"{x}.mT @ {x}", f"torch.einsum('...ij,...kj->...ik', {x}, {x})"]
    other = c.value(lambda v: v.dim() >= 1 and v.shape[0] == c.values[x].shape[-1])
    if other:
        choices.append(f"{x} @ {other}")
    choices.append(f"torch.addmm({x}[0, 0], {x}, {x}.T, beta=0.5, alpha=2)")
    return c.rng.choice(choices)


def convolution(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))) is None:
        return None
    rank, channels = c.values[x].dim() - 2, c.shape(x)[1]
    groups = c.rng.choice([1, 1, channels])
    kernel, stride = c.rng.randint(1, 3), c.rng.randint(1, 2)
    options = f"stride={stride}, padding={c.rng.randint(0, 2)}, bias={c.chance()}"
    turned = c.chance(0.2)
    name = f"nn.Conv{'Transpose' if turned else ''}{rank}d"
    out = groups * c.rng.randint(1, 3)
    options += f", groups={groups}, dilation={c.rng.randint(1, 2)}"
    return c.module(f"{name}({channels}, {out}, {kernel}, {options})") + f"({x})"


def normalization(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() >= 2)) is None:
        return None
    shape, rank = c.shape(x), c.values[x].dim()
    last = shape[-c.rng.randint(1, min(2, rank - 1)) :]
    choices = [f"nn.LayerNorm({last})", f"nn.RMSNorm({last})", f"nn.GroupNorm(1, {shape[1]})"]
    choices.append(f"nn.LayerNorm({last}, elementwise_affine=False)")
    if rank in (3, 4):
        choices += [
            f"nn.BatchNorm{rank - 2}d({shape[1]})",
            f"nn.InstanceNorm{rank - 2}d({shape[1]})",
        ]
    return c.module(c.rng.choice(choices)) + f"({x})"


def pool(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))) is None:
        return None
    rank = c.values[x].dim() - 2
    size, stride = c.rng.randint(1, 3), c.rng.randint(1, 3)
    padding, ceil = c.rng.randint(0, 1), c.chance(0.3)
    options = f"{size}, {stride}, {padding}, ceil_mode={ceil}"
    choices = [f"F.max_pool{rank}d({x}, {options})", f"F.avg_pool{rank}d({x}, {options})"]
    choices.append(f"F.avg_pool{rank}d({x}, {options}, count_include_pad=False)")
    choices.append(f"F.adaptive_avg_pool{rank}d({x}, {c.rng.randint(1, 4)})")
    return c.rng.choice(choices)


def resize(c: Choices) -> str | None:
    if (x := c.floating((4,))) is None:
        return None
    size = [c.rng.randint(1, 9), c.rng.randint(1, 9)]
    if c.chance(0.3):
        return f"F.interpolate({x}, scale_factor={c.rng.choice([2, 1.5, 0.7])}, mode='nearest')"
    return f"F.interpolate({x}, {c.rng.choice(_RESIZE) % size})"


def attention(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))) is None:
        return None
    return f"F.scaled_dot_product_attention({x}, {x}, {x}, is_causal={c.chance()})"


def recurrent(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() == 3)) is None:
        return None
    if c.shape(x)[0] > 6 or not c.chance(0.3):
        return None
    kind = c.rng.choice(["LSTM", "GRU", "RNN"])
    options = f"{c.rng.randint(1, 2)}, bidirectional={c.chance()}"
    return c.module(f"nn.{kind}({c.shape(x)[-1]}, 3, {options})") + f"({x})[0]"
