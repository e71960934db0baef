"""Images and rows of a size that follows from another tensor: Resize, Pad, Tile."""

import numpy as np
from onnx import TensorProto

from .graph import Graph, Skip
from .makers import makes
from .shapes import length


@makes("resize_as", weight=1.2)
def resize(g: Graph, name: str) -> None:
    """An image of the size of another, as in decoders of segmentation."""
    if g.opset < 11:
        raise Skip
    x = g.operand(rank=4, where=lambda v: 0 < v.size < 2000)
    y = g.operand(rank=4, where=lambda v: 0 < v.size < 2000)
    head = g.one("Slice", g.one("Shape", x, keep=False), g.ints(0), g.ints(2), keep=False)
    if g.chance(0.5):
        tail = g.one("Slice", g.one("Shape", y, keep=False), g.ints(2), g.ints(4), keep=False)
    else:
        tail = g.one("Concat", length(g, y, 2), length(g, y, 3), axis=0, keep=False)
    if g.chance(0.3):
        tail = g.one("Mul", tail, g.constant(2, np.int64), keep=False)
    if g.chance(0.5):
        tail = g.one("Cast", tail, to=TensorProto.INT64, keep=False)
    sizes = g.one("Concat", head, tail, axis=0, keep=False)
    empty = g.constant(np.zeros(0, np.float32)) if g.opset < 13 else ""
    mode = g.pick(["nearest", "linear", "linear", "cubic"])
    ways = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]
    options = {"coordinate_transformation_mode": g.pick(ways), "mode": mode}
    if mode == "nearest":
        options["nearest_mode"] = g.pick(["floor", "round_prefer_floor"])
    z = g.one("Resize", x, empty, empty, sizes, **options)
    if g.values[z].shape == g.values[y].shape and g.chance(0.7):
        g.one("Add", z, y)


@makes("pad_to_multiple", weight=1.5)
def pad(g: Graph, name: str) -> None:
    """An axis padded to a multiple, and often cut into windows."""
    if g.opset < 11:
        raise Skip
    x = g.operand(rank=(1, 4), where=lambda v: v.size)
    rank = g.values[x].ndim
    axis = g.integer(0, rank - 1)
    many = g.pick([2, 3, 4, 7, 8])
    size = length(g, x, axis)
    by = g.ints(many)
    if g.chance(0.5):  # (m - n % m) % m
        over = g.one("Mod", size, by, keep=False)
        more = g.one("Mod", g.one("Sub", by, over, keep=False), by, keep=False)
    else:  # (n + m - 1) / m * m - n
        up = g.one("Div", g.one("Add", size, g.ints(many - 1), keep=False), by, keep=False)
        more = g.one("Sub", g.one("Mul", up, by, keep=False), size, keep=False)
    before, after = g.ints(*[0] * (rank + axis)), g.ints(*[0] * (rank - axis - 1))
    pads = g.one("Concat", before, more, after, axis=0, keep=False)
    y = g.one("Pad", x, pads, mode=g.pick(["constant", "constant", "edge"]))
    if g.chance(0.5):
        sizes = [length(g, y, k) for k in range(rank)]
        sizes[axis] = g.ints(-1, many)
        g.one("Reshape", y, g.one("Concat", *sizes, axis=0, keep=False))


@makes("tile_by_length", weight=1.0)
def tile(g: Graph, name: str) -> None:
    """Repeats that are an extent of another tensor."""
    x = g.operand(rank=(1, 3), where=lambda v: v.size < 200)
    y = g.operand(rank=(1, 4), where=lambda v: max(v.shape) <= 20)
    rank = g.values[x].ndim
    axis = g.integer(0, rank - 1)
    counts = [g.ints(g.pick([1, 1, 2])) for _ in range(rank)]
    counts[axis] = length(g, y, g.integer(0, g.values[y].ndim - 1))
    g.one("Tile", x, g.one("Concat", *counts, axis=0, keep=False))
