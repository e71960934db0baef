"""ONNX's Resize and Upsample: along any axes, in every mode, in every version of the standard.

Each axis is resized separately, from a table of source elements and weights. Where TVM's resize2d
computes the same from the same elements, it is used: it supports the layout of convolutions.
"""

import numpy as np
import tvm
from tvm import relax, te

from ..resampling import Axis, Method, Periodic, table
from ..resize2d import agrees, agrees_for_all_lengths, knows
from . import resize_tables
from .extents import Extent
from .node import Node
from .resize_axes import Axes, Dynamic, axes_of, of_opset_10

# The kernel's pattern for TVM's fusion. Later element-wise operators may be fused into the kernel;
# earlier ones may not, because they would be computed once per tap.
_TAKES_EPILOGUES = {"op_pattern": 4}
_COORDINATES = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"} | {
    "tf_half_pixel_for_nn", "half_pixel_symmetric", "tf_crop_and_resize"
}  # fmt: skip
_ROUNDINGS = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple"}
_TVM_MODES = {"nearest": "nearest_neighbor", "linear": "linear", "cubic": "cubic"}


def resize(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert Resize of opset 10 and later, and Upsample of opset 7 to 9.

    Raises
    ------
    QuakeError
        For what the standard does not define, and for a resize that needs dynamic dimensions.
    """
    method = _method(node)
    axes = axes_of(node, method)
    if not axes:
        return node.inputs[0]
    dynamic = {d: a for d, a in axes.items() if isinstance(a, Dynamic)}
    sizes = [(a.resized, node.shape()[d]) for d, a in dynamic.items() if a.given]
    within = [pair for size, n in sizes for pair in ((0, size), (size, size * n))]
    node.require(builder, within, "there is no element to take others from")
    if node.dtype() in ("float32", "float16") and _tvm_agrees(node, axes, method):
        return _resize2d(node, axes, method)
    varying = any(a.table is None for a in dynamic.values())
    if varying and not resize_tables.knows(method):
        raise node.refuse("this mode needs all dimensions; give shapes for the model's inputs")
    if method.mode != "nearest" and not node.dtype().startswith("float"):
        raise node.refuse(f"{method.mode} interpolation of {node.dtype()}; cast to float first")
    x = node.inputs[0]
    if not isinstance(x, relax.Var):
        x = builder.emit(x)  # read many times
    outside: dict[int, np.ndarray] = {}
    for dimension, axis in axes.items():
        periodic_ = axis.table if isinstance(axis, Dynamic) else None
        rows: tuple[relax.Expr, relax.Expr | None]
        if isinstance(axis, Axis):
            known = table(axis, method)
            rows = _constants(known.indices, known.weights)
            if known.outside.any():
                outside[dimension] = known.outside
        elif periodic_ is not None:
            rows = _constants(periodic_.indices, periodic_.weights)
        else:
            length = node.shape()[dimension]
            rows = resize_tables.table(builder, length, axis.resized, axis.scale, method)
        x = _resample(builder, x, dimension, axis.resized, rows, periodic_)
    for dimension, mask in outside.items():
        dims = [-1 if d == dimension else 1 for d in range(len(node.shape()))]
        value = relax.const(node.attributes.get("extrapolation_value", 0.0), node.dtype())
        x = builder.emit(relax.op.where(relax.const(mask.reshape(dims)), value, x))
    return x


def _method(node: Node) -> Method:
    given = node.attributes
    old = of_opset_10(node)
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


def _constants(
    indices: np.ndarray, weights: np.ndarray | None
) -> tuple[relax.Expr, relax.Expr | None]:
    kept = None if weights is None else relax.const(weights, "float32")
    return relax.const(indices.astype(np.int32)), kept


def _resample(
    builder: relax.BlockBuilder,
    x: relax.Expr,
    dimension: int,
    resized: Extent,
    rows: tuple[relax.Expr, relax.Expr | None],
    repeated: Periodic | None,
) -> relax.Expr:
    """Resize one axis: a kernel that gathers, or sums what it gathers."""
    arguments = [x, *(r for r in rows if r is not None)]

    def compute(x: te.Tensor, indices: te.Tensor, weights: te.Tensor | None = None) -> te.Tensor:
        shape = list(x.shape)
        length = shape[dimension]
        shape[dimension] = resized
        if repeated is not None:
            shape[dimension] = te.floordiv(length * repeated.period, repeated.step)

        def element(*place: tvm.ir.Expr) -> tvm.ir.Expr:
            o = place[dimension]
            row = o if repeated is None else te.floormod(o, repeated.period)

            def tap(k: int) -> tvm.ir.Expr:
                index = indices[row, k]
                if repeated is not None:
                    index = te.floordiv(o, repeated.period) * repeated.step + index
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
    if (method.mode, method.coordinates) == ("cubic", "asymmetric"):
        return False  # for some sizes of a dynamic length, TVM's analysis ends in an error
    one = np.float32(1)
    kept = [Axis(n, n, one) if isinstance(n, int) else Dynamic(n, one, None) for n in shape]
    return all(
        agrees(axis, method)
        if isinstance(axis, Axis)
        else agrees_for_all_lengths(axis.scale, _least(node, axis.resized, method), method)
        for axis in (axes.get(d, kept[d]) for d in (2, 3))
    )


def _least(node: Node, resized: Extent, method: Method) -> int:
    """The size, or one for which TVM resizes as for all that it may be."""
    if isinstance(resized, int):
        return resized
    any_size = method.coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric")
    return 2 if any_size or node.extents.proves(resized >= 2) else 1


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
