"""Products, convolutions, pooling, resizing."""

import numpy as np

from .case import RNG, Case, K, a, c, f, i, k, s


def products() -> list[Case]:
    cases = [
        c("MatMul", f(3, 4), f(4, 5)),
        c("MatMul", f(4), f(4)),
        c("MatMul", f(2, 3, 4), f(4)),
        c("MatMul", f(4), f(2, 4, 3)),
        c("MatMul", f(2, 1, 3, 4), f(5, 4, 2)),
        c("MatMul", i(3, 4, dtype="int32"), i(4, 5, dtype="int32"), since=9),
        c("MatMul", f(3, 4, dtype="float64"), f(4, 5, dtype="float64")),
        c("MatMul", f(0, 4), f(4, 5)),
        c("MatMul", f(3, 0), f(0, 5)),
        c("Gemm", f(3, 4), f(4, 5), f(5)),
        c("Gemm", f(3, 4), f(4, 5), since=11),
        c("Gemm", f(4, 3), f(5, 4), f(3, 1), transA=1, transB=1, alpha=0.5, beta=2.0),
        c("Gemm", f(3, 4), f(5, 4), s(0.5), transB=1, beta=0.25),
        c("Gemm", f(3, 4), f(4, 5), f(3, 5), beta=0.0),
        c("MatMulInteger", i(3, 4, low=0, high=255, dtype="uint8"), i(4, 5, dtype="int8")),
        c(
            "MatMulInteger",
            i(3, 4, low=0, high=255, dtype="uint8"),
            i(4, 5, dtype="int8"),
            K(np.uint8(7)),
            K(np.int8(-3)),
        ),
        c(
            "MatMulInteger",
            i(3, 4, low=0, high=255, dtype="uint8"),
            i(4, 5, low=0, dtype="uint8"),
            None,
            k(1, 2, 3, 4, 5, dtype="uint8"),
        ),
        c("Einsum", f(3, 4), f(4, 5), equation="ij,jk->ik"),
        c("Einsum", f(2, 3), equation="ij->ji"),
        c("Einsum", f(2, 3), equation="ij->"),
        c("Einsum", f(2, 3), f(2, 3), equation="ij,ij->i"),
        c("Einsum", f(2, 3, 4), f(2, 4, 5), equation="bij,bjk->bik"),
        c("Einsum", f(3, 3), equation="ii->i"),
        c("Einsum", f(2, 3, 3), equation="...ii->...i"),
        c("Einsum", f(2, 3, 4), f(2, 4, 5), equation="...ij,...jk->...ik"),
        c("Einsum", f(2, 3), f(3, 4), equation="ij,jk"),
        c("Einsum", f(2, 3), f(4, 3), f(4), equation="ij,kj,k->ik"),
        c("Einsum", f(3), f(3), equation="i,i"),
        c("Einsum", f(3, 3), equation="ii"),
        c("Einsum", f(2, 3), f(3, 4), equation=" ij , jk -> ki "),
        c("Einsum", f(2, 1, 3), f(4, 3), equation="...j,...j->..."),
    ]
    x = f(2, 4, 7, 6)
    cases += [
        c("Conv", x, f(3, 4, 3, 3)),
        c("Conv", x, f(3, 4, 3, 2), f(3), kernel_shape=[3, 2], pads=[1, 0, 2, 1], strides=[2, 1]),
        c("Conv", x, f(4, 2, 3, 3), group=2, dilations=[2, 1]),
        c("Conv", x, f(4, 1, 3, 3), f(4), group=4),
        c("Conv", x, f(3, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
        c("Conv", x, f(3, 4, 2, 3), auto_pad="SAME_LOWER"),
        c("Conv", x, f(3, 4, 3, 3), auto_pad="VALID"),
        c("Conv", f(2, 3, 8), f(4, 3, 3), f(4), pads=[2, 1]),
        c("Conv", f(1, 2, 4, 5, 4), f(3, 2, 2, 3, 2), f(3), pads=[1, 0, 1, 0, 1, 1]),
        c("Conv", f(2, 3, 8), f(4, 3, 3), auto_pad="SAME_UPPER", strides=[3]),
        c("ConvTranspose", x, f(4, 3, 3, 3)),
        c(
            "ConvTranspose",
            x,
            f(4, 3, 3, 2),
            f(3),
            strides=[2, 2],
            pads=[1, 0, 0, 1],
            output_padding=[1, 1],
        ),
        c("ConvTranspose", x, f(4, 2, 3, 3), group=2, strides=[2, 1]),
        c("ConvTranspose", f(2, 3, 5), f(3, 4, 3), f(4), strides=[2]),
        c("ConvTranspose", x, f(4, 3, 3, 3), dilations=[2, 1]),
        c("ConvTranspose", x, f(4, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
        c("ConvTranspose", x, f(4, 3, 3, 3), kernel_shape=[3, 3], auto_pad="VALID"),
        c("AveragePool", x, kernel_shape=[3, 2]),
        c("AveragePool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2]),
        c("AveragePool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1),
        c("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        c("AveragePool", x, kernel_shape=[2, 2], dilations=[2, 1]),
        c("AveragePool", x, kernel_shape=[3, 2], auto_pad="SAME_UPPER"),
        c("AveragePool", f(2, 3, 7), kernel_shape=[3]),
        c("MaxPool", x, kernel_shape=[3, 2]),
        c("MaxPool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2]),
        c("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        c("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 1]),
        c("MaxPool", x, kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]),
        c("MaxPool", f(2, 3, 7), kernel_shape=[3]),
        c("LpPool", x, kernel_shape=[2, 2]),
        c("LpPool", x, kernel_shape=[2, 2], p=3, strides=[2, 1], pads=[1, 0, 0, 1]),
        c("LpPool", x, kernel_shape=[2, 2], dilations=[2, 1]),
        c("LpPool", x, kernel_shape=[3, 2], auto_pad="SAME_UPPER"),
        c("LpPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        c("GlobalAveragePool", x),
        c("GlobalMaxPool", x),
        c("GlobalLpPool", x, p=3, until=21),
        c("GlobalAveragePool", f(2, 3, 5)),
        c(
            "MaxRoiPool",
            x,
            np.float32([[0, 0, 0, 4, 5], [1, 1, 1, 5, 6]]),
            pooled_shape=[2, 2],
            spatial_scale=0.5,
            until=21,
        ),
        c(
            "RoiAlign",
            x,
            np.float32([[0, 0, 4, 5], [1, 1, 5, 6]]),
            a(0, 1),
            output_height=2,
            output_width=3,
            sampling_ratio=2,
            spatial_scale=0.5,
        ),
        c(
            "RoiAlign",
            x,
            np.float32([[0, 0, 4, 5], [1, 1, 5, 6]]),
            a(0, 1),
            mode="avg",
            coordinate_transformation_mode="output_half_pixel",
            sampling_ratio=2,
        ),
        c("GridSample", x, f(2, 3, 5, 2) / 2),
        c("GridSample", x, f(2, 3, 5, 2), align_corners=1, padding_mode="border"),
        c("GridSample", x, f(2, 3, 5, 2), mode="nearest"),
        c("AffineGrid", f(2, 2, 3), k(2, 3, 4, 5), align_corners=1),
        c("Upsample", f(1, 2, 3, 4), mode="nearest", scales=[1.0, 1.0, 2.0, 2.0], until=8),
        c(
            "Upsample",
            f(1, 2, 3, 4),
            k(1, 1, 2, 3, dtype="float32"),
            mode="nearest",
            since=9,
            until=9,
        ),
        c("Resize", f(1, 2, 3, 4), k(1, 1, 2, 2, dtype="float32"), mode="nearest", until=10),
        c(
            "Resize",
            f(1, 2, 3, 4),
            None,
            None,
            k(1, 2, 6, 8),
            mode="linear",
            coordinate_transformation_mode="asymmetric",
            since=13,
        ),
        c(
            "Resize",
            f(1, 2, 3, 4),
            None,
            k(1, 1, 2, 2, dtype="float32"),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
            since=13,
        ),
        c(
            "Resize",
            f(1, 2, 4, 4),
            None,
            None,
            k(1, 2, 8, 8),
            mode="cubic",
            cubic_coeff_a=-0.5,
            exclude_outside=1,
            since=13,
        ),
        c(
            "Resize",
            f(1, 2, 4, 4),
            k(0, 0, 0.2, 0.2, 1, 1, 1.2, 1.2, dtype="float32"),
            None,
            k(1, 2, 5, 5),
            mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
            extrapolation_value=3.0,
            since=13,
        ),
    ]
    small, halved = k(1, 2, 6, 8), k(1, 1, 0.5, 0.5, dtype="float32")
    cases += [
        c("Resize", f(1, 2, 3, 4), None, None, k(6, 8), mode="linear", axes=[2, 3], since=18),
        c("Resize", f(1, 2, 4, 6), None, halved, mode="linear", antialias=1, since=18),
        c(
            "Resize",
            f(1, 2, 3, 5),
            None,
            None,
            small,
            mode="nearest",
            keep_aspect_ratio_policy="not_larger",
            since=18,
        ),
        c("ConvTranspose", f(1, 1, 3, 3), f(1, 2, 3, 3), strides=[3, 2], output_shape=[10, 8]),
        c("MaxPool", x, kernel_shape=[3, 2], storage_order=1),
    ]
    positions = np.arange(0, 32, 2).reshape(1, 1, 4, 4)[:, :, :2, :2]
    unpooled = {"kernel_shape": [2, 2], "strides": [2, 2], "until": 21}
    cases += [
        c("MaxUnpool", f(1, 1, 2, 2), positions, **unpooled),
        c("MaxUnpool", f(1, 1, 2, 2), positions, k(1, 1, 4, 4), **unpooled),
        c("MaxUnpool", f(1, 1, 3, 3), i(1, 1, 3, 3, low=0, high=1), pads=[1, 1, 1, 1], **unpooled),
    ]
    corners = RNG.random((2, 9, 2, 2)).astype("float32")
    boxes = np.concatenate([corners.min(2), corners.max(2)], -1)
    thresholds = [K(a(4)), s(0.3), s(0.2)]
    scores = RNG.random((2, 3, 9)).astype("float32")
    cases += [
        c("NonMaxSuppression", boxes, scores, *thresholds),
        c("NonMaxSuppression", boxes, scores, *thresholds, center_point_box=1),
    ]
    return cases


def deformed() -> list[Case]:
    """DeformConv and Col2Im, with sizes that differ between the axes."""
    x, weights = f(2, 4, 6, 5), f(6, 2, 3, 2)
    options = {
        "kernel_shape": [3, 2],
        "group": 2,
        "offset_group": 2,
        "pads": [1, 0, 2, 1],
        "strides": [2, 1],
        "dilations": [1, 2],
        "since": 19,
    }
    offsets, masks = f(2, 24, 4, 4), f(2, 12, 4, 4)
    blocks = {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2], "since": 18}
    return [
        c("DeformConv", x, weights, offsets, f(6), masks, **options),
        c("DeformConv", x, weights, offsets, **options),
        c("DeformConv", f(1, 2, 1, 4), f(3, 2, 1, 1), f(1, 2, 1, 4), since=19),
        c("Col2Im", f(2, 18, 16), k(6, 5), k(3, 2), **blocks),
        c("Col2Im", f(2, 12, 4), k(4, 6), k(2, 3), strides=[2, 3], since=18),
        c("Col2Im", f(1, 6, 4), k(9), k(3), strides=[2], since=18),
    ]
