"""ONNX's Resize and Upsample: along any axes, in every mode, in every version of the standard.

Each axis is resized separately, from a table of source elements and weights. Where TVM's resize2d
computes the same from the same elements, it is used: it supports the layout of convolutions.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import tvm
from tvm import relax, te

from ..resampling import Axis, Method, Periodic, Table, periodic, table
from ..resize2d import agrees, agrees_for_all_lengths, knows
from .importer import Node

# The kernel's pattern for TVM's fusion. Later element-wise operators may be fused into the kernel;
# earlier ones may not, because they would be computed once per tap.
_TAKES_EPILOGUES = {"op_pattern": 4}
_COORDINATES = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"} | {
    "tf_half_pixel_for_nn", "half_pixel_symmetric", "tf_crop_and_resize"
}  # fmt: skip
_ROUNDINGS = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple"}
_TVM_MODES = {"nearest": "nearest_neighbor", "linear": "linear", "cubic": "cubic"}

Extent: TypeAlias = int | tvm.ir.Expr


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


Axes = dict[int, Axis | Dynamic]


def resize(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert Resize of opset 10 and later, and Upsample of opset 7 to 9.

    Raises
    ------
    QuakeError
        For what the standard does not define, and for a resize that needs dynamic dimensions.
    """
    method = _method(node)
    axes = _axes(node, method)
    if not axes:
        return node.inputs[0]
    filled = [d for d, a in axes.items() if isinstance(a, Dynamic) and isinstance(a.resized, int)]
    within = [(1, node.shape()[d]) for d in filled if axes[d].resized]
    node.require(builder, within, "there is no element to take others from")
    if node.dtype() in ("float32", "float16") and _tvm_agrees(node, axes, method):
        return _resize2d(node, axes, method)
    tables: dict[int, Table | Periodic] = {}
    for dimension, axis in axes.items():
        rows = table(axis, method) if isinstance(axis, Axis) else axis.table
        if rows is None:
            raise node.refuse("this mode needs all dimensions; give shapes for the model's inputs")
        tables[dimension] = rows
    if method.mode != "nearest" and not node.dtype().startswith("float"):
        raise node.refuse(f"{method.mode} interpolation of {node.dtype()}; cast to float first")
    x = node.inputs[0]
    if not isinstance(x, relax.Var):
        x = builder.emit(x)  # read many times
    outside: dict[int, np.ndarray] = {}
    for dimension, rows in tables.items():
        if isinstance(rows, Table) and rows.outside.any():
            outside[dimension] = rows.outside
        x = _resample(builder, x, dimension, axes[dimension].resized, rows)
    for dimension, mask in outside.items():
        dims = [-1 if d == dimension else 1 for d in range(len(node.shape()))]
        value = relax.const(node.attributes.get("extrapolation_value", 0.0), node.dtype())
        x = builder.emit(relax.op.where(relax.const(mask.reshape(dims)), value, x))
    return x


def _method(node: Node) -> Method:
    given = node.attributes
    old = _of_opset_10(node)
    method = Method(
        mode=given.get("mode", "nearest"),
        coordinates=given.get(
            "coordinate_transformation_mode", "asymmetric" if old else "half_pixel"
        ),
        rounding="simple" if old else given.get("nearest_mode", "round_prefer_floor"),
        cubic_coeff_a=given.get("cubic_coeff_a", -0.75),
        exclude_outside=bool(given.get("exclude_outside", 0)),
        antialias=bool(given.get("antialias", 0)),
    )
    if method.mode not in _TVM_MODES:
        raise node.refuse(f"no such mode: {method.mode}")
    if method.coordinates not in _COORDINATES:
        raise node.refuse(f"no such coordinate_transformation_mode: {method.coordinates}")
    if method.rounding not in _ROUNDINGS:
        raise node.refuse(f"no such nearest_mode: {method.rounding}")
    if method.antialias and method.mode == "nearest":
        raise node.refuse("antialias of the nearest element")
    if method.exclude_outside and method.mode != "cubic" and not method.antialias:
        raise node.refuse("exclude_outside is for cubic interpolation")
    return method


def _axes(node: Node, method: Method) -> Axes:
    """The resized axes, by dimension."""
    shape = node.shape()
    chosen = [a % len(shape) for a in node.attributes.get("axes", range(len(shape)))]
    given, sized = _ratios(node)
    if len(given) != len(chosen):
        raise node.refuse(f"{len(given)} scales or sizes for {len(chosen)} axes")
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    region = _region(node, method, len(chosen))
    scales, sizes = given, None
    if sized:
        scales, sizes = _scales(node, [shape[a] for a in chosen], given, policy)
    axes: Axes = {}
    for k, dimension in enumerate(chosen):
        length, scale = shape[dimension], np.float32(scales[k])
        if scale <= 0:
            raise node.refuse(f"a scale of {scale}")
        if isinstance(length, int):
            resized = int(scale * np.float32(length)) if sizes is None else int(sizes[k])
            if resized == 0 < length:
                raise node.refuse(f"a scale of {scale} that leaves none of {length} elements")
            axes[dimension] = Axis(length, resized, scale, region[k])
            if scale == 1 and region[k] != (0.0, 1.0):
                raise node.refuse("a region of interest at a scale of 1; use Slice or a scale")
        elif sizes is not None:
            axes[dimension] = Dynamic(int(sizes[k]), None, None)
        elif scale != 1:
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


def _scales(
    node: Node, lengths: list[Extent], sizes: np.ndarray, policy: str
) -> tuple[np.ndarray, np.ndarray]:
    """Scales and sizes after the aspect ratio policy. The scale of a dynamic length is NaN."""
    scales = np.full(len(sizes), np.nan, np.float32)
    for k, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
        if isinstance(length, int):
            if (length == 0) != (size == 0):
                raise node.refuse("an empty tensor has nothing to interpolate")
            scales[k] = np.float32(size) / np.float32(length) if length else 1
    if policy == "stretch":
        return scales, sizes
    choose = {"not_larger": np.min, "not_smaller": np.max}.get(policy)
    if choose is None or np.isnan(scales).any():
        raise node.refuse(f"keep_aspect_ratio_policy {policy} of these dimensions")
    scales = np.full(len(sizes), choose(scales), np.float32)
    exact = scales * np.array(lengths, np.float32)
    return scales, np.floor(exact + np.float64(0.5)).astype(np.int64)


def _of_opset_10(node: Node) -> bool:
    """Whether the node is Upsample, or Resize of opset 10, which has the same two inputs."""
    return node.operator == "Upsample" or len(node.inputs) == 2


def _ratios(node: Node) -> tuple[np.ndarray, bool]:
    """The scales or the sizes, and whether they are the sizes."""
    if "scales" in node.attributes:  # Upsample of opset 7
        return np.array(node.attributes["scales"], np.float32), False
    if _of_opset_10(node):
        return node.required(1), False
    both = ((node.constant(2), False), (node.constant(3), True))
    given = [(numbers, sized) for numbers, sized in both if numbers is not None and numbers.size]
    if len(given) != 1:
        raise node.refuse("either scales or sizes must be given")
    return given[0]


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


def _resample(
    builder: relax.BlockBuilder,
    x: relax.Expr,
    dimension: int,
    resized: Extent,
    rows: Table | Periodic,
) -> relax.Expr:
    """Resize one axis: a kernel that gathers, or sums what it gathers."""
    arguments = [x, relax.const(rows.indices.astype(np.int32))]
    if rows.weights is not None:
        arguments.append(relax.const(rows.weights, "float32"))

    def compute(x: te.Tensor, indices: te.Tensor, weights: te.Tensor | None = None) -> te.Tensor:
        shape = list(x.shape)
        length = shape[dimension]
        shape[dimension] = resized
        if isinstance(rows, Periodic):
            shape[dimension] = te.floordiv(length * rows.period, rows.step)

        def element(*place: tvm.ir.Expr) -> tvm.ir.Expr:
            o = place[dimension]
            row = te.floormod(o, rows.period) if isinstance(rows, Periodic) else o

            def tap(k: int) -> tvm.ir.Expr:
                index = indices[row, k]
                if isinstance(rows, Periodic):
                    index = te.floordiv(o, rows.period) * rows.step + index
                    index = te.max(te.min(index, length - 1), 0)
                return x[(*place[:dimension], index, *place[dimension + 1 :])]

            if weights is None:
                return tap(0)
            wide = "float64" if x.dtype == "float64" else "float32"
            taps = range(int(indices.shape[1]))
            terms = [tap(k).astype(wide) * weights[row, k].astype(wide) for k in taps]
            return sum(terms[1:], terms[0]).astype(x.dtype)

        return te.compute(shape, element, name="resampled")

    return builder.emit_te(
        compute, *arguments, primfunc_name_hint="resize", primfunc_attrs=_TAKES_EPILOGUES
    )


def _tvm_agrees(node: Node, axes: Axes, method: Method) -> bool:
    """Whether TVM's resize2d gives the same result."""
    shape = node.shape()
    if len(shape) != 4 or not set(axes) <= {2, 3} or not knows(method):
        return False
    one = np.float32(1)
    kept = [Axis(n, n, one) if isinstance(n, int) else Dynamic(n, one, None) for n in shape]
    return all(
        agrees(axis, method)
        if isinstance(axis, Axis)
        else agrees_for_all_lengths(axis.scale, axis.resized, method)
        for axis in (axes.get(d, kept[d]) for d in (2, 3))
    )


def _resize2d(node: Node, axes: Axes, method: Method) -> relax.Expr:
    shape = node.shape()
    sizes = [axes[d].resized if d in axes else shape[d] for d in (2, 3)]
    return relax.op.image.resize2d(
        node.inputs[0],
        size=relax.ShapeExpr(sizes),
        roi=[0.0] * 4,
        layout="NCHW",
        method=_TVM_MODES[method.mode],
        coordinate_transformation_mode=method.coordinates,
        rounding_method="floor" if method.rounding == "simple" else method.rounding,
        cubic_alpha=method.cubic_coeff_a,
    )
