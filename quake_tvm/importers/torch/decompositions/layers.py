"""Layers that torch runs as one operator at inference: attention and transformer encoders."""

import torch
from torch.nn import functional

from .table import decomposes

# Values of mask_type: over pairs of positions, over keys, over both for each head.
_PAIRS, _KEYS = 0, 1


def _hidden(mask: torch.Tensor, mask_type: int | None) -> torch.Tensor:
    """Where a key is hidden, broadcast to (batch, heads, queries, keys)."""
    hidden = mask.to(torch.bool)
    if mask_type == _KEYS:
        return hidden[:, None, None, :]
    return hidden[None, None] if hidden.dim() == 2 else hidden


@decomposes("_native_multi_head_attention.default")
def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: torch.Tensor,
    qkv_bias: torch.Tensor,
    proj_weight: torch.Tensor,
    proj_bias: torch.Tensor,
    mask: torch.Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The output, and the weights if they are needed."""
    weights, biases = qkv_weight.chunk(3), qkv_bias.chunk(3)
    q, k, v = (
        functional.linear(x, w, b).unflatten(-1, (num_head, -1)).transpose(1, 2)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    hidden = None if mask is None else _hidden(mask, mask_type)
    shown = None
    if need_weights:
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        shown = torch.softmax(scores, -1)
        mixed = shown @ v
        shown = shown.mean(1) if average_attn_weights else shown
    else:
        allowed = None if hidden is None else ~hidden
        mixed = functional.scaled_dot_product_attention(q, k, v, allowed)
    return functional.linear(mixed.transpose(1, 2).flatten(2), proj_weight, proj_bias), shown


@decomposes("_transformer_encoder_layer_fwd.default")
def _encoder_layer(
    src: torch.Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: torch.Tensor,
    qkv_bias: torch.Tensor,
    proj_weight: torch.Tensor,
    proj_bias: torch.Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: torch.Tensor,
    norm_bias_1: torch.Tensor,
    norm_weight_2: torch.Tensor,
    norm_bias_2: torch.Tensor,
    ffn_weight_1: torch.Tensor,
    ffn_bias_1: torch.Tensor,
    ffn_weight_2: torch.Tensor,
    ffn_bias_2: torch.Tensor,
    mask: torch.Tensor | None = None,
    mask_type: int | None = None,
) -> torch.Tensor:
    """Attention and two linear layers, each with a residual and a norm before or after it."""

    def attend(x: torch.Tensor) -> torch.Tensor:
        return _attention(
            x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask,
            need_weights=False, mask_type=mask_type,
        )[0]  # fmt: skip

    def feed(x: torch.Tensor) -> torch.Tensor:
        inner = functional.linear(x, ffn_weight_1, ffn_bias_1)
        inner = functional.gelu(inner) if use_gelu else functional.relu(inner)
        return functional.linear(inner, ffn_weight_2, ffn_bias_2)

    def norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (embed_dim,), weight, bias, eps)

    first, second = (norm_weight_1, norm_bias_1), (norm_weight_2, norm_bias_2)
    if norm_first:
        src = src + attend(norm(src, *first))
        return src + feed(norm(src, *second))
    src = norm(src + attend(src), *first)
    return norm(src + feed(src), *second)
