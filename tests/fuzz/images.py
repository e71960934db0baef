"""Pooling and resampling."""

import numpy as np

from .graph import Graph, Skip
from .makers import makes


@makes("MaxPool", "AveragePool", weight=1.5)
@makes("LpPool", weight=0.5)
def pool(g: Graph, op: str) -> None:
    rank = g.pick([1, 2, 2, 2, 3])
    x = g.operand(rank=rank + 2, where=lambda v: v.size)
    # ONNX Runtime gives a result for windows larger than the image; the standard has none.
    kernel = [min(g.pick([1, 2, 2, 3]), n) for n in g.values[x].shape[2:]]
    attributes: dict[str, object] = {"kernel_shape": kernel}
    if g.chance(0.6):
        attributes["strides"] = [g.pick([1, 2, 2, 3]) for _ in range(rank)]
    if g.chance(0.15):
        attributes["auto_pad"] = g.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif g.chance(0.5):
        attributes["pads"] = [min(g.pick([0, 0, 1]), k - 1) for k in kernel * 2]
    if g.chance(0.25) and g.opset >= {"MaxPool": 10, "AveragePool": 19}.get(op, 18):
        fits = [n > 2 * (k - 1) for n, k in zip(g.values[x].shape[2:], kernel, strict=True)]
        attributes["dilations"] = [2 if fit and g.chance(0.5) else 1 for fit in fits]
    if (
        g.chance(0.25)
        and g.opset >= (18 if op == "LpPool" else 10)
        and "auto_pad" not in attributes
    ):
        attributes["ceil_mode"] = 1
    if op == "AveragePool" and g.chance(0.5):
        attributes["count_include_pad"] = g.integer(0, 1)
    if op == "LpPool" and g.chance(0.5):
        attributes["p"] = g.pick([1, 2, 3])
    g.one(op, x, **attributes)


@makes("GlobalAveragePool", weight=1.0)
@makes("GlobalMaxPool", "GlobalLpPool", weight=0.5)
def global_pool(g: Graph, op: str) -> None:
    x = g.operand(rank=(3, 5), where=lambda v: v.size)
    g.one(op, x, **({"p": g.pick([1, 2, 3])} if op == "GlobalLpPool" and g.chance(0.5) else {}))


@makes("MaxUnpool", weight=0.3)
def unpool(g: Graph, op: str) -> None:
    x = g.operand(rank=4, where=lambda v: v.size and min(v.shape[2:]) >= 2)
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    values, places = g.node("MaxPool", [x], 2, **window)
    g.one(op, values, places, **window)


@makes("MaxRoiPool", "RoiAlign", weight=0.4)
def regions(g: Graph, op: str) -> None:
    height, width = g.integer(3, 12), g.integer(3, 12)
    batch = g.integer(1, 2)
    x = g.input(np.float32, (batch, g.integer(1, 4), height, width))
    count = g.integer(1, 3)
    corner = g.random.integers(0, 3, (count, 2))
    extent = g.random.integers(1, 9, (count, 2))
    boxes = np.hstack([corner, corner + extent]).astype(np.float32)
    which = g.random.integers(0, batch, count)
    size = [g.integer(1, 3), g.integer(1, 3)]
    scale = g.pick([1.0, 0.5])
    if op == "MaxRoiPool":
        rois = g.constant(np.column_stack([which, boxes]), np.float32)
        g.one(op, x, rois, pooled_shape=size, spatial_scale=scale)
        return
    options: dict[str, object] = {"sampling_ratio": g.pick([0, 1, 2])} if g.chance(0.7) else {}
    if g.opset >= 16 and g.chance(0.5):
        options["coordinate_transformation_mode"] = g.pick(["half_pixel", "output_half_pixel"])
    g.one(
        op, x, g.constant(boxes), g.constant(which, np.int64),
        output_height=size[0], output_width=size[1], spatial_scale=scale, **options,
    )  # fmt: skip


@makes("Resize", weight=1.5)
def resize(g: Graph, op: str) -> None:
    if g.opset < 10:
        raise Skip
    rank = g.pick([1, 2, 2, 2, 3])
    x = g.operand(rank=rank + 2, where=lambda v: 0 < v.size < 2000)
    shape = g.values[x].shape
    mode = g.pick(["nearest", "linear", "cubic"] if rank == 2 else ["nearest", "linear"])
    factors = [g.pick([0.5, 1.0, 2.0, 1.5, 3.0, 0.7]) for _ in range(rank)]
    scales = g.constant([1.0, 1.0, *factors], np.float32)
    if g.opset == 10:
        g.one(op, x, scales, mode="nearest" if mode == "cubic" else mode)
        return
    options: dict[str, object] = {"mode": mode}
    if g.chance(0.8):
        ways = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]
        options["coordinate_transformation_mode"] = g.pick(ways)
    if mode == "nearest" and g.chance(0.7):
        roundings = ["floor", "round_prefer_floor", "ceil", "round_prefer_ceil"]
        options["nearest_mode"] = g.pick(roundings)
    if mode == "cubic" and g.chance(0.5):
        options |= {"cubic_coeff_a": g.pick([-0.5, -0.75]), "exclude_outside": g.integer(0, 1)}
    empty = g.constant(np.zeros(0, np.float32)) if g.opset < 13 else ""
    if g.chance(0.5):
        g.one(op, x, empty, scales, **options)
        return
    sizes = [g.pick([1, 2, 5, n, 2 * n, 3 * n]) for n in shape[2:]]
    if g.opset >= 18 and g.chance(0.3):
        options["axes"] = [a - len(shape) if g.chance(0.5) else a for a in range(2, len(shape))]
        if g.chance(0.5):  # ONNX Runtime loses this attribute with negative axes
            options["keep_aspect_ratio_policy"] = g.pick(["not_larger", "not_smaller"])
            options["axes"] = list(range(2, len(shape)))
    else:
        sizes = [*shape[:2], *sizes]
    no_scales = g.constant(np.zeros(0, np.float32)) if g.opset < 13 else ""
    g.one(op, x, empty, no_scales, g.ints(*sizes), **options)


@makes("Upsample", weight=0.7)
def upsample(g: Graph, op: str) -> None:
    if g.opset > 9:
        raise Skip
    x = g.operand(rank=4, where=lambda v: 0 < v.size < 1500)
    scales = g.constant([1.0, 1.0, g.pick([1.0, 2.0, 3.0]), g.pick([1.0, 2.0])], np.float32)
    g.one(op, x, scales, mode=g.pick(["nearest", "linear"]))


@makes("GridSample", weight=0.6)
def grid_sample(g: Graph, op: str) -> None:
    x = g.operand(rank=4, where=lambda v: 0 < v.size < 2000)
    batch = g.values[x].shape[0]
    places = g.random.uniform(-1.3, 1.3, (batch, g.integer(1, 5), g.integer(1, 5), 2))
    linear, cubic = ("linear", "cubic") if g.opset >= 20 else ("bilinear", "bicubic")
    options: dict[str, object] = {"mode": g.pick([linear, linear, "nearest", cubic])}
    if g.chance(0.6):
        options["padding_mode"] = g.pick(["zeros", "border", "reflection"])
    if g.chance(0.6):
        options["align_corners"] = g.integer(0, 1)
    g.one(op, x, g.input(np.float32, places.shape, places.astype(np.float32)), **options)


@makes("AffineGrid", weight=0.3)
def affine_grid(g: Graph, op: str) -> None:
    rank = g.pick([2, 2, 3])
    batch = g.integer(1, 2)
    size = g.ints(batch, g.integer(1, 3), *(g.integer(1, 6) for _ in range(rank)))
    theta = g.input(np.float32, (batch, rank, rank + 1))
    g.one(op, theta, size, **({"align_corners": g.integer(0, 1)} if g.chance(0.6) else {}))
