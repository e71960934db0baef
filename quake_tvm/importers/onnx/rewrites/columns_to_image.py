"""Col2Im as a gather by a constant: the elements that are added to a pixel, and their sum."""

import math

import numpy as np
import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Gather and ReduceSum.

    Raises
    ------
    QuakeError
        For sizes that only a run knows, and sizes that disagree.
    """
    x, *sizes = node.input
    columns = graph.inner(x)
    image, block = (graph.constant_value(name) for name in sizes)
    if image is None or block is None:
        raise QuakeError("Col2Im needs a constant image_shape and block_shape")
    if columns is None:
        raise QuakeError("Col2Im needs known sizes: give shapes for the model's inputs")
    taps, pixels = math.prod(map(int, block)), math.prod(map(int, image))
    places = _places(image, block, attributes(node))
    if len(columns) != 2 or columns[0] % taps or places.shape[1] != columns[1]:
        raise QuakeError(
            f"Col2Im of columns {columns} for an image {image.tolist()} of blocks"
            f" {block.tolist()}, which has {places.shape[1]} blocks"
        )
    channels = columns[0] // taps
    table = _table(places, pixels)

    def constant(values: np.ndarray | list, stem: str = "shape") -> str:
        return graph.constant(values, TensorProto.INT64, stem)

    flat = graph.emit("Reshape", [x, constant([0, channels, taps * columns[1]])])
    # One zero at the end, for pixels to which fewer elements are added than to others.
    padded = graph.emit("Pad", [flat, constant([0, 0, 0, 0, 0, 1])])
    parts = graph.emit("Gather", [padded, constant(table, "places")], axis=2)
    sums = graph.emit("ReduceSum", [parts, constant([2], "axes")], keepdims=0)
    graph.emit("Reshape", [sums, constant([0, channels, *image])], node.output[0])


def _places(image: np.ndarray, block: np.ndarray, given: dict) -> np.ndarray:
    """The pixel of each tap of each block; -1 outside the image.

    Returns
    -------
    ndarray
        int64, of shape (taps, blocks).
    """
    rank = len(image)
    pads = given.get("pads", [0] * 2 * rank)
    found = np.zeros((1, 1), np.int64)
    for axis, (extent, taps) in enumerate(zip(map(int, image), map(int, block), strict=True)):
        stride, dilation = (given.get(n, [1] * rank)[axis] for n in ("strides", "dilations"))
        room = extent + pads[axis] + pads[axis + rank] - (dilation * (taps - 1) + 1)
        blocks = np.arange(room // stride + 1)
        at = np.arange(taps)[:, None] * dilation + blocks * stride - pads[axis]
        outside = (at < 0) | (at >= extent)
        before = found[:, None, :, None]
        both = np.where((before < 0) | outside[None, :, None, :], -1, before * extent + at[:, None])
        found = both.reshape(len(found) * taps, -1)
    return found


def _table(places: np.ndarray, pixels: int) -> np.ndarray:
    """For each pixel the elements that are added to it: int64, of shape (most, pixels).

    Where there are fewer, the number of elements stands.
    """
    flat = places.reshape(-1)
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 0) :]
    owners = flat[order]
    rank = np.arange(len(owners)) - np.searchsorted(owners, owners)
    table = np.full((rank.max(initial=0) + 1, pixels), len(flat))
    table[rank, owners] = order
    return table
