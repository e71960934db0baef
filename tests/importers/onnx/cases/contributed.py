"""ONNX Runtime's operators."""

import numpy as np

from .case import Case, K, c, f, i, s


def contributed() -> list[Case]:
    ms = {"domain": "com.microsoft"}
    both = {"outputs": 2, "read": 1, **ms}
    x, ids = f(2, 3, 8), i(2, 3, low=0, high=5, dtype="int32")
    tables = [K(f(5, 8)), K(f(6, 8)), K(f(2, 8)), K(f(8)), K(f(8))]
    return [
        c("Gelu", x, **ms),
        c("FastGelu", x, **ms),
        c("FastGelu", x, K(f(8)), **ms),
        c("BiasGelu", x, K(f(8)), **ms),
        c(
            "SkipLayerNormalization",
            x,
            f(2, 3, 8),
            K(f(8)),
            K(f(8)),
            K(f(8)),
            epsilon=0.1,
            outputs=4,
            **ms,
        ),
        c("SkipLayerNormalization", x, f(2, 3, 8), K(f(8)), **ms),
        c("EmbedLayerNormalization", ids, ids % 2, *tables, epsilon=0.1, **both),
        c("EmbedLayerNormalization", ids, None, *tables[:2], None, *tables[3:], **both),
        c("EmbedLayerNormalization", ids, ids % 2, *tables, None, ids, **both),
        c("Attention", x, K(f(8, 24)), K(f(24)), num_heads=2, **ms),
        c("Attention", x, K(f(8, 20)), K(f(20)), num_heads=2, qkv_hidden_sizes=[8, 8, 4], **ms),
        c("Attention", x, K(f(8, 24)), K(f(24)), num_heads=2, unidirectional=0, **ms),
        *masked_attention(),
        c("QuantizeLinear", f(3, 4), s(0.1), K(np.uint8(100)), **ms),
        c("DequantizeLinear", i(3, 4, dtype="int8"), s(0.1), K(np.int8(3)), **ms),
        c("DequantizeLinear", i(3, 4, dtype="int8"), K(f(3)), K(i(3, dtype="int8")), axis=0, **ms),
    ]


def masked_attention() -> list[Case]:
    """Every form of mask, scores that are added, and unidirectional attention."""
    x, w, b = f(2, 3, 8), K(f(8, 24)), K(f(24))
    options = {"num_heads": 2, "domain": "com.microsoft"}
    masks = [[3, 1], [3, 2, 0, 1], [[1, 1, 1], [1, 0, 0]], [[0, 0, 0], [1, 1, 0]]]
    masks.append([[[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 0, 1], [0, 1, 0], [1, 1, 1]]])
    return [
        *(c("Attention", x, w, b, np.array(m, np.int32), **options) for m in masks),
        c("Attention", x, w, b, unidirectional=1, scale=0.3, **options),
        c("Attention", x, w, b, None, None, f(1, 2, 3, 3), **options),
        c(
            "Attention",
            x,
            w,
            b,
            np.array([3, 1], np.int32),
            unidirectional=1,
            mask_filter_value=-1e9,
            **options,
        ),
    ]
