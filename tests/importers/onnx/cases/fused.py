"""The operators into which ONNX Runtime's optimiser and tools fuse others."""

from functools import partial

import numpy as np

from .case import Case, K, c, f, i, s

ms = partial(c, domain="com.microsoft")


def fused() -> list[Case]:
    return [
        *(*products(), *convolutions(), *activations(), *norms(), *attention()),
        *(*grouped_queries(), *quantized(), *equivalents()),
    ]


def products() -> list[Case]:
    activated = [
        ("Relu", {}),
        ("LeakyRelu", {"activation_alpha": 0.2}),
        ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
        ("Tanh", {}),
        ("Elu", {"activation_alpha": 0.7}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("ThresholdedRelu", {"activation_alpha": 0.5}),
    ]
    return [
        ms("FusedMatMul", f(2, 3, 4), f(2, 4, 5), alpha=0.25),
        ms("FusedMatMul", f(2, 4, 3), f(2, 5, 4), transA=1, transB=1, alpha=-2.0),
        ms("FusedMatMul", f(3, 2, 5, 4), K(f(6, 4)), transB=1),
        ms("FusedMatMul", f(3, 2, 4), f(2, 4, 5), transBatchA=1),
        ms("FusedMatMul", f(4, 2, 3), f(4, 2, 5), transA=1, transBatchA=1, transBatchB=1),
        ms("FusedMatMul", f(4), f(4, 3), transA=1),
        ms("TransposeMatMul", f(2, 4, 3), f(2, 5, 4), transA=1, transB=1, alpha=0.5),
        ms(
            "FusedGemm",
            f(4, 3),
            f(5, 4),
            f(5),
            transA=1,
            transB=1,
            alpha=0.5,
            beta=2.0,
            activation="Sigmoid",
        ),
        *(
            ms("FusedGemm", f(3, 4), f(4, 5), f(3, 5), activation=name, **given)
            for name, given in activated
        ),
    ]


def convolutions() -> list[Case]:
    activated = [
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("LeakyRelu", {"activation_params": [0.1]}),
        ("Clip", {"activation_params": [-0.5, 0.5]}),
        ("HardSigmoid", {"activation_params": [0.2, 0.5]}),
    ]
    x, w = f(2, 4, 7, 6), K(f(8, 4, 3, 3))
    options = {"strides": [2, 1], "pads": [1, 0, 1, 2], "dilations": [1, 2]}
    return [
        ms("FusedConv", x, w, auto_pad="SAME_UPPER", kernel_shape=[3, 3]),
        ms("FusedConv", x, K(f(8, 2, 3, 3)), K(f(8)), group=2, activation="Relu", **options),
        ms("FusedConv", x, w, K(f(8)), f(2, 8, 5, 4), activation="Relu"),
        ms("FusedConv", x, w, None, f(2, 8, 5, 4)),
        *(ms("FusedConv", x, w, K(f(8)), activation=name, **given) for name, given in activated),
    ]


def activations() -> list[Case]:
    return [
        ms("QuickGelu", f(3, 4)),
        ms("QuickGelu", f(3, 4), alpha=1.0),
        ms("QuickGelu", f(3, 4), alpha=-0.5),
    ]


def norms() -> list[Case]:
    x, skip, w = f(2, 3, 8), f(2, 3, 8), K(f(8))
    ids = i(2, 3, low=0, high=5, dtype="int32")
    tables = [K(f(5, 8)), K(f(6, 8)), K(f(2, 8)), w, K(f(8))]
    kept = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    return [
        ms("SkipSimplifiedLayerNormalization", x, skip, w, epsilon=0.1),
        ms("SkipSimplifiedLayerNormalization", x, skip, w, K(f(8)), outputs=4, read=1),
        ms("EmbedLayerNormalization", ids, ids % 2, *tables, kept, epsilon=0.2, outputs=3),
        ms("EmbedLayerNormalization", ids, None, *tables[:2], None, *tables[3:], outputs=3),
    ]


def attention() -> list[Case]:
    q, k, v = f(2, 3, 8), f(2, 5, 8), f(2, 5, 12)
    heads = partial(ms, "MultiHeadAttention", num_heads=2)
    lengths, values = np.array([5, 2], np.int32), np.array([[1, 0, 1, 1, 0]] * 2, np.int32)
    cos, sin = K(f(9, 4)), K(f(9, 4))
    places = i(2, 3, low=0, high=9)
    turned = partial(ms, "RotaryEmbedding")
    return [
        heads(q, k, v),
        heads(q, k, v, scale=0.3),
        heads(q, k, v, K(f(28))),
        heads(q, k, v, None, lengths),
        heads(q, k, v, None, values, mask_filter_value=-50.0),
        heads(q, k, v, None, None, f(1, 2, 3, 5)),
        heads(q, k, v, None, None, f(2, 1, 3, 5)),
        heads(q, q, q, unidirectional=1),
        heads(q, q, q, outputs=3),
        heads(q, f(2, 2, 5, 4), f(2, 2, 5, 4)),
        heads(q, q, q, None, None, None, f(2, 2, 4, 4), f(2, 2, 4, 4), outputs=3),
        heads(q, q, q, None, None, None, f(2, 2, 4, 4), f(2, 2, 4, 4), outputs=3, unidirectional=1),
        turned(f(2, 3, 16), places, cos, sin),
        turned(f(2, 3, 16), places, cos, sin, interleaved=1),
        turned(f(2, 2, 3, 8), places, cos, sin),
        turned(f(2, 3, 16), np.array([4]), cos, sin),
        turned(f(2, 2, 3, 8), np.array([6]), cos, sin, interleaved=1),
        turned(f(1, 12, 16), i(1, 12, low=0, high=9), cos, sin, is_packed_batching=1),
        turned(f(2, 3, 20), places, K(f(9, 3)), K(f(9, 3)), num_heads=2, rotary_embedding_dim=6),
        turned(
            f(2, 3, 20),
            places,
            K(f(9, 3)),
            K(f(9, 3)),
            num_heads=2,
            rotary_embedding_dim=6,
            interleaved=1,
        ),
    ]


def grouped_queries() -> list[Case]:
    """Four heads of queries and two of keys, with and without a past."""
    heads = partial(ms, "GroupQueryAttention", num_heads=4, kv_num_heads=2)
    turned = partial(heads, do_rotary=1)
    tables = [K(f(20, 8)), K(f(20, 8))]

    def new(batch: int, count: int) -> list[np.ndarray]:
        return [f(batch, count, 64), f(batch, count, 32), f(batch, count, 32)]

    def past(batch: int, count: int) -> list[np.ndarray]:
        return [f(batch, 2, count, 16), f(batch, 2, count, 16)]

    def lengths(total: int, *counts: int) -> list[object]:
        return [np.array(counts, np.int32) - 1, K(np.array(total, np.int32))]

    prompt, none = lengths(3, 3, 3), [None, None]
    return [
        heads(*new(2, 3), *none, *prompt, outputs=3),
        heads(f(2, 3, 128), *none, *none, prompt[0], np.array(3, np.int32)),
        heads(*new(2, 1), *past(2, 4), *lengths(5, 5, 4), outputs=3),
        heads(*new(2, 1), *past(2, 9), *lengths(5, 5, 4), outputs=3, softcap=5.0, scale=0.3),
        heads(*new(1, 4), *past(1, 5), *lengths(9, 9), outputs=3, local_window_size=3),
        turned(*new(2, 3), *none, *prompt, *tables, rotary_interleaved=1, outputs=3),
        turned(*new(2, 1), *past(2, 4), *lengths(5, 5, 4), *tables, outputs=3),
        turned(*new(1, 2), *none, *lengths(2, 2), *tables, np.array([[7, 2]]), outputs=3),
        turned(*new(1, 2), *past(1, 4), *lengths(2, 2), *tables, np.array([[7, 2]]), outputs=3),
        turned(*new(1, 2), *past(1, 4), *lengths(6, 6), *tables, np.array([[7, 2]]), outputs=3),
        heads(*new(2, 3), *none, *prompt, *[None] * 3, f(2, 4, 3, 3), outputs=3),
        heads(*new(2, 1), *past(2, 9), *lengths(5, 5, 4), *[None] * 3, f(1, 1, 1, 5), outputs=3),
        heads(*new(2, 3), *none, *prompt, *[None] * 4, f(4), outputs=3),
        heads(
            *new(1, 4),
            *past(1, 5),
            *lengths(9, 9),
            *[None] * 3,
            f(1, 4, 4, 9),
            f(4),
            outputs=3,
            softcap=5.0,
        ),
    ]


def quantized() -> list[Case]:
    """Products with matrices of 20 columns and 40 rows, in blocks of 16 rows."""
    cases = []
    for bits in (4, 8):
        size = 16 * bits // 8
        packed = i(20, 3, size, low=0, high=256, dtype="uint8")
        points = i(20 * -(-3 * bits // 8), low=0, high=256, dtype="uint8")
        given = {"K": 40, "N": 20, "bits": bits, "block_size": 16, "rtol": 1e-4}
        plain = [f(3, 40), K(packed), K(np.abs(f(60)))]
        cases += [
            ms("MatMulNBits", *plain, **given),
            ms("MatMulNBits", *plain, K(points), **given),
            ms("MatMulNBits", *plain, K(points), None, K(f(20)), accuracy_level=0, **given),
        ]
    weights = [K(i(410, low=0, high=256, dtype="uint8")), K(np.abs(f(26)))]
    given = {"K": 41, "N": 20, "block_size": 32, "rtol": 1e-4}
    cases += [ms("MatMulBnb4", f(3, 41), *weights, quant_type=kind, **given) for kind in (0, 1)]
    order = K(i(40, low=0, high=3, dtype="int32"))
    packed = K(i(20, 3, 8, low=0, high=256, dtype="uint8"))
    options = {"K": 40, "N": 20, "block_size": 16, "rtol": 1e-4}
    cases.append(ms("MatMulNBits", f(3, 40), packed, K(np.abs(f(60))), None, order, **options))
    return cases


def equivalents() -> list[Case]:
    """Operators that the standard has, too, or had no operator for."""
    image, grid = f(1, 2, 4, 5), (f(1, 3, 4, 2) * 0.7).astype(np.float32)
    pads = np.array([1, 0, -1, 2])
    return [
        ms("CDist", f(3, 4), f(5, 4), rtol=1e-4),
        ms("CDist", f(3, 4), f(5, 4), metric="euclidean", rtol=1e-4),
        ms("ExpandDims", f(3, 4), K(np.array(-2, np.int32))),
        ms("GridSample", image, grid, align_corners=1, mode="nearest", padding_mode="border"),
        ms("GridSample", image, grid, mode="bicubic"),
        ms("Pad", f(3, 4), K(pads)),
        ms("Pad", f(3, 4), K(pads[None]), s(7.0)),
        ms("Pad", f(3, 4), K(np.abs(pads)), mode="reflect"),
        ms("Range", s(3, "int64"), s(9, "int64")),
        ms("Range", K(np.float32([1])), s(9.0), s(2.5)),
        ms("Trilu", f(2, 3, 4)),
        ms("Trilu", f(2, 3, 4), K(np.array(-1)), upper=0),
    ]
