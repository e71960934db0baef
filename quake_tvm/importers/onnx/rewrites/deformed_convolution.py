"""DeformConv as samples between pixels, times the masks, and a product by the weights."""

import math

import numpy as np
import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit GridSample and MatMul. Only the batch may vary.

    Raises
    ------
    QuakeError
        For images that have not two dimensions, sizes that only a run knows, and sizes that
        disagree.
    """
    x, weights, offsets, bias, mask = [*node.input, "", ""][:5]
    image, kernel, moved = (graph.inner(name) for name in (x, weights, offsets))
    batch, results = ((graph.shape(name) or [None])[0] for name in (x, weights))
    if image is None or kernel is None or moved is None or results is None:
        raise QuakeError("DeformConv needs known sizes: give shapes for the model's inputs")
    if not len(image) == len(kernel) == len(moved) == 3:
        raise QuakeError("DeformConv is supported for images of two dimensions only")
    given = attributes(node)
    groups, offset_groups = given.get("group", 1), given.get("offset_group", 1)
    channels, *size = image
    taps, pixels = math.prod(kernel[1:]), math.prod(moved[1:])
    fitting = (groups * kernel[0], offset_groups * taps * 2)
    if (channels, moved[0]) != fitting or channels % offset_groups or results % groups:
        raise QuakeError(
            f"DeformConv of {channels} channels, weights {[results, *kernel]} and {moved[0]}"
            f" offsets, in {groups} groups and {offset_groups} groups of offsets"
        )

    def reshaped(name: str, first: int, *rest: int, output: str = "") -> str:
        """A reshape whose first extent is a multiple of the batch's."""
        extents = [-1 if batch is None else batch * first, *rest]
        shape = graph.constant(extents, TensorProto.INT64, "shape")
        return graph.emit("Reshape", [name, shape], output)

    dtype = graph.dtype(x)
    places = _places(kernel[1:], moved[1:], given)
    # GridSample takes x before y, and -1 and 1 as the outer edges of an image's pixels.
    scales = 2 / np.array(size, np.float64)
    middles = (places + 0.5) * scales - 1
    steps = reshaped(offsets, offset_groups, taps, 2, pixels)
    steps = graph.emit("Transpose", [steps], perm=[0, 1, 3, 2])
    steps = graph.emit("Mul", [steps, graph.constant(scales, dtype, "scales")])
    grid = graph.emit("Add", [steps, graph.constant(middles, dtype, "middles")])
    grid = graph.emit("Gather", [grid, graph.constant([1, 0], TensorProto.INT64, "xy")], axis=3)
    images = reshaped(x, offset_groups, channels // offset_groups, *size)
    samples = graph.emit("GridSample", [images, grid])
    if mask:
        masks = reshaped(mask, offset_groups, 1, taps, pixels)
        samples = graph.emit("Mul", [samples, masks])
    columns = reshaped(samples, 1, groups, kernel[0] * taps, pixels)
    rows = [groups, results // groups, kernel[0] * taps]
    matrix = graph.emit("Reshape", [weights, graph.constant(rows, TensorProto.INT64, "shape")])
    product = graph.emit("MatMul", [matrix, columns])
    result = reshaped(product, 1, results, *moved[1:], output="" if bias else node.output[0])
    if bias:
        column = graph.constant([-1, 1, 1], TensorProto.INT64, "shape")
        graph.emit("Add", [result, graph.emit("Reshape", [bias, column])], node.output[0])


def _places(kernel: list[int], results: list[int], given: dict) -> np.ndarray:
    """Where each tap of each result reads without offsets: float64 (taps, results, 2), y first."""
    pads, strides, dilations = (
        given.get(name, [default] * count)
        for name, default, count in (("pads", 0, 4), ("strides", 1, 2), ("dilations", 1, 2))
    )
    axes = [
        np.arange(taps)[:, None] * dilation + np.arange(count) * stride - pad
        for taps, count, pad, stride, dilation in zip(
            kernel, results, pads, strides, dilations, strict=False
        )
    ]
    y, x = axes[0][:, None, :, None], axes[1][None, :, None, :]
    both = np.stack(np.broadcast_arrays(y, x), -1)
    return both.reshape(kernel[0] * kernel[1], results[0] * results[1], 2).astype(np.float64)
