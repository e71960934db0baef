"""Operators that the standard defines as functions of other operators."""

import numpy as np
from onnx import TensorProto

from .case import RNG, Case, K, c, f, i, s


def functions() -> list[Case]:
    cases = []
    for window in ("BlackmanWindow", "HammingWindow", "HannWindow"):
        cases += [
            c(window, s(9, "int64")),
            c(window, s(8, "int64"), periodic=0),
            c(window, s(8, "int64"), output_datatype=TensorProto.DOUBLE),
        ]
    scores, labels = f(3, 5, 2), i(3, 2, low=0, high=5)
    for reduction in ("none", "sum", "mean"):
        cases += [
            c("NegativeLogLikelihoodLoss", -np.abs(scores), labels, reduction=reduction),
            c(
                "NegativeLogLikelihoodLoss",
                -np.abs(scores),
                labels,
                K(np.abs(f(5))),
                reduction=reduction,
                ignore_index=1,
            ),
            c("SoftmaxCrossEntropyLoss", scores, labels, reduction=reduction, outputs=2),
            c(
                "SoftmaxCrossEntropyLoss",
                scores,
                labels,
                K(np.abs(f(5))),
                reduction=reduction,
                ignore_index=1,
            ),
        ]
    cases += [
        c(
            "CausalConvWithState",
            f(2, 4, 6),
            f(4, 1, 3),
            f(4),
            f(2, 4, 2),
            outputs=2,
            activation="silu",
        ),
        c("CausalConvWithState", f(2, 4, 6), f(4, 1, 3), outputs=2),
    ]
    return cases


def attention() -> list[Case]:
    def heads(*shape: int) -> tuple[np.ndarray, ...]:
        return f(2, 4, 3, 8), f(2, shape[0], 6, 8), f(2, shape[0], 6, 10)

    mask = RNG.random((3, 6)) < 0.6
    mask[:, 0] = True
    return [
        c("Attention", *heads(4)),
        c("Attention", *heads(2), scale=0.3),
        c("Attention", *heads(4), mask),
        c("Attention", *heads(4), f(3, 6), softcap=2.0),
        c("Attention", *heads(4), is_causal=1),
        c("Attention", f(2, 3, 16), f(2, 6, 8), f(2, 6, 8), q_num_heads=4, kv_num_heads=2),
        c("Attention", *heads(4), None, f(2, 4, 2, 8), f(2, 4, 2, 10), outputs=3),
        c(
            "Attention",
            *heads(4),
            None,
            f(2, 4, 2, 8),
            f(2, 4, 2, 10),
            outputs=4,
            qk_matmul_output_mode=1,
            softmax_precision=1,
        ),
        c("Attention", *heads(4), None, None, None, np.array([6, 3])),
        c("Attention", *heads(4), None, None, None, np.array([6, 3]), is_causal=1, since=24),
        c("Attention", *heads(4), left_window_size=2, right_window_size=1),
        c(
            "LinearAttention",
            *(f(2, 4, 8), f(2, 4, 8), f(2, 4, 8), f(2, 2, 4, 4), -np.abs(f(2, 4, 2)), f(2, 4, 2)),
            q_num_heads=2,
            kv_num_heads=2,
            chunk_size=2,
            scale=0.4,
            update_rule="gated_delta",
            outputs=2,
        ),
        c("TensorScatter", f(2, 4, 3), f(2, 2, 3), np.array([1, 2])),
        c(
            "TensorScatter",
            f(2, 4, 3, 5),
            f(2, 4, 3, 2),
            np.array([4, 2]),
            axis=-1,
            mode="circular",
        ),
        c("TensorScatter", f(2, 4, 3), f(2, 2, 3)),
        c("RotaryEmbedding", f(2, 4, 3, 8), f(9, 4), f(9, 4), i(2, 3, low=0, high=9)),
        c(
            "RotaryEmbedding",
            f(2, 3, 32),
            K(f(9, 4)),
            K(f(9, 4)),
            i(2, 3, low=0, high=9),
            num_heads=4,
            interleaved=1,
        ),
        c(
            "RotaryEmbedding",
            f(2, 4, 3, 8),
            f(9, 2),
            f(9, 2),
            i(2, 3, low=0, high=9),
            rotary_embedding_dim=4,
        ),
        c("RotaryEmbedding", f(2, 4, 3, 8), f(2, 3, 4), f(2, 3, 4)),
    ]
