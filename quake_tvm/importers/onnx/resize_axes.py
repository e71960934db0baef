"""The axes that ONNX's Resize changes: their lengths before and after, and their ratios."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from tvm import te

from ..resampling import Axis, Method, Periodic, periodic
from .elements import Quotient, multiply, quotient
from .extents import Extent
from .node import Node


@dataclass(frozen=True)
class Dynamic:
    """An axis whose length is known only at run time.

    Parameters
    ----------
    resized : Extent
        Elements after.
    scale : numpy.float32 or None
        The ratio; None if it follows from the lengths.
    table : Periodic or None
        Source elements and weights, if the ratio alone determines them.
    """

    resized: Extent
    scale: np.float32 | None
    table: Periodic | None

    @property
    def given(self) -> bool:
        """Whether the number of elements is given, and not the ratio."""
        return self.scale is None


Axes = dict[int, Axis | Dynamic]
# Ratios that are recognised where sizes are given.
_WHOLE = (2, 3, 4, 8, 16, 32)


def axes_of(node: Node, method: Method) -> Axes:
    """The resized axes, by dimension."""
    shape = node.shape()
    chosen = [a % len(shape) for a in node.attributes.get("axes", range(len(shape)))]
    scales, sizes = _ratios(node)
    given = scales if sizes is None else sizes
    if len(given) != len(chosen):
        raise node.refuse(f"{len(given)} scales or sizes for {len(chosen)} axes")
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    region = _region(node, method, len(chosen))
    if sizes is not None:
        scales, sizes = _scales(node, [shape[a] for a in chosen], sizes, policy)
    axes: Axes = {}
    for k, dimension in enumerate(chosen):
        length, scale = shape[dimension], scales[k]
        if isinstance(scale, Quotient):
            axes[dimension] = Dynamic(_scaled(node, scale, length), None, None)
            continue
        scale = np.float32(scale)
        if scale <= 0:
            raise node.refuse(f"a scale of {scale}")
        size = None if sizes is None else sizes[k]
        if isinstance(length, int) and (size is None or isinstance(size, int)):
            resized = int(scale * np.float32(length)) if size is None else size
            if resized == 0 < length:
                raise node.refuse(f"a scale of {scale} that leaves none of {length} elements")
            axes[dimension] = Axis(length, resized, scale, region[k])
            if scale == 1 and region[k] != (0.0, 1.0):
                raise node.refuse("a region of interest at a scale of 1; use Slice or a scale")
            continue
        if size is not None:
            if node.extents.same(size, length):
                continue
            whole = next((n for n in _WHOLE if node.extents.same(size, length * n)), None)
            if whole is None:
                axes[dimension] = Dynamic(size, None, None)
                continue
            scale = np.float32(whole)
        if scale != 1:
            rows = periodic(scale, method)
            ratio = Fraction(float(scale))
            resized = te.floordiv(length * ratio.numerator, ratio.denominator)
            axes[dimension] = Dynamic(resized, scale, rows)
    static = [a for a in axes.values() if isinstance(a, Axis)]
    if len(static) == len(axes) and all(a.length == a.resized for a in static):
        return {}  # as in ONNX Runtime: the tensor stays the same whatever the scale
    return {d: a for d, a in axes.items() if isinstance(a, Dynamic) or not _kept(a, method)}


def _kept(axis: Axis, method: Method) -> bool:
    """Whether the axis stays as it is. Antialiasing compares the lengths, as in ONNX Runtime."""
    return axis.scale == 1 or (method.antialias and axis.length == axis.resized)


def _scaled(node: Node, scale: Quotient, length: Extent) -> Extent:
    """The number of elements after, for a scale that varies and leaves a whole number."""
    elements = quotient(node.extents, length)
    product = multiply(node.extents, scale, elements) if elements is not None else None
    if (
        not isinstance(product, Quotient) or product.bottom != 1
    ):  # the ratio would not follow from the lengths
        raise node.refuse("scales that vary; give shapes for the model's inputs")
    return product.top


def _scales(
    node: Node, lengths: list[Extent], sizes: list[Extent], policy: str
) -> tuple[list[np.float32], list[Extent]]:
    """Scales and sizes after the aspect ratio policy. A scale that varies is NaN."""
    scales = np.full(len(sizes), np.nan, np.float32)
    for k, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
        if isinstance(length, int) and isinstance(size, int):
            if (length == 0) != (size == 0):
                raise node.refuse("an empty tensor has nothing to interpolate")
            scales[k] = np.float32(size) / np.float32(length) if length else 1
    if policy == "stretch":
        return list(scales), sizes
    choose = {"not_larger": np.min, "not_smaller": np.max}.get(policy)
    if choose is None or np.isnan(scales).any():
        raise node.refuse(f"keep_aspect_ratio_policy {policy} of these dimensions")
    scales = np.full(len(sizes), choose(scales), np.float32)
    exact = scales * np.array(lengths, np.float32)
    return list(scales), [int(n) for n in np.floor(exact + np.float64(0.5))]


def of_opset_10(node: Node) -> bool:
    """Whether the node is Upsample, or Resize of opset 10, which has the same two inputs."""
    return node.operator == "Upsample" or len(node.inputs) == 2


def _ratios(node: Node) -> tuple[list, list[Extent] | None]:
    """The scales, and None; or none, and the sizes."""
    if "scales" in node.attributes:  # Upsample of opset 7
        return list(node.attributes["scales"]), None
    if of_opset_10(node):
        return _elements(node, 1), None
    scales, sizes = _elements(node, 2), _elements(node, 3)
    if bool(scales) == bool(sizes):
        raise node.refuse("either scales or sizes must be given")
    return scales, sizes or None


def _elements(node: Node, index: int) -> list:
    """The numbers of an input; none if it is left out."""
    known = node.numbers(index)
    if known is None and node.constant(index) is not None:
        raise node.refuse(f"input {index} is too large")
    return known or []


def _region(node: Node, method: Method, count: int) -> list[tuple[float, float]]:
    """Start and end of the region of interest, for each axis."""
    roi = None
    if method.coordinates == "tf_crop_and_resize":
        roi = node.constant(1)
        if roi is None or roi.size != 2 * count:
            raise node.refuse(f"tf_crop_and_resize needs a roi of {2 * count} numbers")
    if roi is None:
        return [(0.0, 1.0)] * count
    return [(float(a), float(b)) for a, b in zip(roi[:count], roi[count:], strict=True)]
