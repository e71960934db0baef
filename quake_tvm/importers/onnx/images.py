"""ONNX's operators on images except Resize, Pad, pooling and convolution.

Operators that TVM converts correctly are only checked here. An operator that TVM would get wrong,
or for which it would read past the end of a tensor, is converted here or refused.
"""

import numpy as np
from tvm import relax

from ...kernels.index_check import Places, checked
from ...kernels.size_check import after, equal
from .node import Node


def affine_grid(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert AffineGrid: the product of the grid's points and the matrices.

    Raises
    ------
    QuakeError
        For a size that is computed at run time.
    """
    size = [int(n) for n in node.required(1)]
    spatial = size[2:]
    if len(spatial) not in (2, 3):
        raise node.refuse(f"a size of {len(size)} numbers")
    corners = bool(node.attributes.get("align_corners", 0))
    if corners and 1 in spatial:
        raise node.refuse("align_corners of one element, which runtimes place differently")
    lines = [np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1 for n in spatial]
    points = np.meshgrid(*lines, indexing="ij")
    ones = np.ones(spatial)
    base = np.stack([*reversed(points), ones], -1).reshape(-1, len(spatial) + 1)
    matrices = relax.op.permute_dims(node.inputs[0], [0, 2, 1])
    grid = relax.op.matmul(relax.const(base.astype(node.dtype()), node.dtype()), matrices)
    return relax.op.reshape(grid, [size[0], *spatial, len(spatial)])


def max_roi_pool(builder: relax.BlockBuilder, node: Node) -> None:
    """Check MaxRoiPool, which TVM's importer converts; at run time check its image indices."""
    node.require(builder, equal(node.shape(1)[1], 5), "a region is not five numbers")
    pictures = relax.op.strided_slice(node.inputs[1], [1], [0], [1])
    pictures = builder.emit(relax.op.astype(pictures, "int64"))
    check = builder.emit(checked(pictures, [node.shape()[0]], Places.FRONT, node.operator))
    node.inputs[0] = after(builder, node.inputs[0], [check])


def roi_align(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert RoiAlign of mode avg. The regions may hold any numbers.

    Raises
    ------
    QuakeError
        For mode max, which runtimes compute differently.
    """
    given = node.attributes
    if given.get("mode", "avg") != "avg":
        raise node.refuse("mode max, which runtimes compute differently")
    coordinates = given.get("coordinate_transformation_mode", "half_pixel")
    if coordinates not in ("half_pixel", "output_half_pixel"):
        raise node.refuse(f"no such coordinate_transformation_mode: {coordinates}")
    half = coordinates == "half_pixel"
    dtype, batch = node.dtype(1), node.shape()[0]
    if not isinstance(batch, int):
        raise node.refuse("a dynamic batch; give shapes for the model's inputs")

    def number(value: float) -> relax.Expr:
        return relax.const(value, dtype)

    rois = builder.emit(relax.op.multiply(node.inputs[1], number(given.get("spatial_scale", 1.0))))
    if half:
        rois = builder.emit(relax.op.subtract(rois, number(0.5)))
    # A NaN coordinate would make an undefined index, and a huge region a nearly endless loop.
    rois = builder.emit(relax.op.where(relax.op.isnan(rois), number(0.0), rois))
    rois = builder.emit(relax.op.clip(rois, -32768, 32768))
    start, end = (
        builder.emit(relax.op.strided_slice(rois, [1], [a], [b])) for a, b in ((0, 2), (2, 4))
    )
    # Without a number of samples, TVM loops over as many as the region needs. For an empty region
    # that is none, and the result would be undefined.
    adaptive = half and given.get("sampling_ratio", 0) <= 0
    empty = builder.emit(relax.op.less_equal(end, start))
    if adaptive:
        wider = builder.emit(relax.op.add(start, number(1.0)))
        end = builder.emit(relax.op.where(empty, wider, end))
    index = builder.normalize(checked(node.inputs[2], [batch], Places.FRONT, "RoiAlign"))
    index = relax.op.expand_dims(relax.op.astype(index, dtype), 1)
    index = builder.emit(index)
    pooled = relax.op.vision.roi_align(
        node.inputs[0],
        builder.emit(relax.op.concat([index, start, end], 1)),
        pooled_size=(given.get("output_height", 1), given.get("output_width", 1)),
        spatial_scale=1.0,
        sample_ratio=given.get("sampling_ratio", 0),
        aligned=half,
        layout="NCHW",
        mode="avg",
    )
    if not adaptive:
        return pooled
    empty = builder.emit(relax.op.max(relax.op.astype(empty, "int32"), 1))
    empty = builder.emit(relax.op.astype(relax.op.reshape(empty, [-1, 1, 1, 1]), "bool"))
    return relax.op.where(empty, relax.const(0, node.dtype()), builder.emit(pooled))


def non_max_suppression(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert NonMaxSuppression. Without a maximum number of boxes, no boxes are selected.

    Raises
    ------
    QuakeError
        For thresholds that are computed at run time, and for dynamic shapes.
    """
    boxes, scores = node.inputs[:2]
    if not all(isinstance(n, int) for n in (*node.shape(0), *node.shape(1))):
        raise node.refuse("dynamic shapes; give shapes for the model's inputs")
    limit, threshold, least = (node.constant(k) for k in (2, 3, 4))
    count = node.shape(1)[2]
    most = 0 if limit is None else min(int(limit.reshape(())), count)
    if most <= 0 or 0 in (*node.shape(0), *node.shape(1)):
        return relax.const(np.zeros((0, 3), np.int64), "int64")
    # TVM drops boxes with scores below 0, and suppresses boxes at the threshold itself.
    order = builder.emit(relax.op.argsort(scores, axis=2, descending=True, dtype="int32"))
    rank = builder.emit(relax.op.argsort(order, axis=2, descending=False, dtype="int32"))
    rank = builder.emit(relax.op.astype(rank, "float32"))
    ranked = builder.emit(relax.op.subtract(relax.const(float(count)), rank))
    if least is not None:
        high = builder.emit(relax.op.greater(scores, relax.const(least.reshape(()), "float32")))
        ranked = builder.emit(relax.op.where(high, ranked, relax.const(-2.0)))
    given = np.float32(0) if threshold is None else threshold.reshape(())
    overlap = max(float(np.nextafter(given, np.float32(2))), 1e-30)
    parts = [builder.emit(relax.op.strided_slice(boxes, [2], [k], [k + 1])) for k in range(4)]
    if node.attributes.get("center_point_box", 0):
        x, y, width, height = parts
        half = relax.const(0.5, node.dtype())
        w, h = (builder.emit(relax.op.multiply(n, half)) for n in (width, height))
        corners = [relax.op.subtract(y, h), relax.op.subtract(x, w), y + h, x + w]
    else:  # any two opposite corners
        y0, x0, y1, x1 = parts
        lows = [relax.op.minimum(y0, y1), relax.op.minimum(x0, x1)]
        corners = [*lows, relax.op.maximum(y0, y1), relax.op.maximum(x0, x1)]
    found = builder.emit(
        relax.op.vision.all_class_non_max_suppression(
            builder.emit(relax.op.concat([builder.emit(c) for c in corners], 2)),
            ranked,
            relax.const(most, "int64"),
            relax.const(overlap, "float32"),
            relax.const(0.5, "float32"),
            output_format="onnx",
        )
    )
    # The type of TVM's operator has the largest possible number of boxes, its kernel's result the
    # actual number. Later operators must be built for the actual number.
    call = builder.lookup_binding(found)
    kernel = call.op.get_attr("FLegalize")(builder, call)
    return relax.TupleGetItem(builder.emit(kernel), 0)
