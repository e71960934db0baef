"""ONNX's pooling, with auto_pad and ceil_mode turned into plain pads.

TVM's pooling with plain pads is right. The arithmetic of its importer is not always right.
"""

from math import prod

import numpy as np
from tvm import relax

from ...kernels.index_check import Places, checked
from ...kernels.size_check import equal
from .node import Node
from .windows import Window, check_fit, pads_apart, windows_of


def max_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert MaxPool of any opset.

    Raises
    ------
    QuakeError
        For a ceil_mode whose pads cannot be computed because dimensions are dynamic.
    """
    dtype = np.dtype(node.dtype())
    least = -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)
    x, windows = pads_apart(builder, node, node.inputs[0], _windows(node), least)
    if _ceils_alike(node, windows):
        return _pool("max", x, windows, ceil_mode=True)
    return _pool("max", x, _rounded_up(node, windows))


def average_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert AveragePool. Elements that ceil_mode adds never count.

    Raises
    ------
    QuakeError
        For pads or counts that cannot be computed because dimensions are dynamic.
    """
    x, windows = pads_apart(builder, node, node.inputs[0], own := _windows(node))
    include = bool(node.attributes.get("count_include_pad", 0))
    if windows is not own and not include:
        ones = builder.emit(relax.op.ones([1, 1, *node.shape()[2:]], node.dtype()))
        ones, _ = pads_apart(builder, node, ones, own)
        share = builder.emit(_pool("avg", ones, windows))
        return relax.op.divide(builder.emit(_pool("avg", x, windows)), share)
    if _ceils_alike(node, windows):
        return _pool("avg", x, windows, include, ceil_mode=True)
    rounded = _rounded_up(node, windows)
    if not _ceils(node):
        return _pool("avg", x, rounded, include)
    counts = [_counted(node, w, r, include) for w, r in zip(windows, rounded, strict=True)]
    factors = np.ones(())
    for window, count in zip(windows, counts, strict=True):
        factors = np.multiply.outer(factors, window.kernel / count)
    mean = _pool("avg", x, rounded, True)
    if np.all(factors == 1):
        return mean
    return relax.op.multiply(mean, relax.const(factors.astype(node.dtype()), node.dtype()))


def lp_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert LpPool: the p-norm of every window.

    Raises
    ------
    QuakeError
        For a ceil_mode whose pads cannot be computed because dimensions are dynamic.
    """
    x, windows = pads_apart(builder, node, node.inputs[0], _windows(node))
    p = node.attributes.get("p", 2)
    powers = _power(builder, x, p, node.dtype())
    mean = builder.emit(_pool("avg", powers, _rounded_up(node, windows), True))
    size = relax.const(prod(w.kernel for w in windows), node.dtype())
    return _root(builder.emit(relax.op.multiply(mean, size)), p, node.dtype())


def global_lp_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert GlobalLpPool."""
    p = node.attributes.get("p", 2)
    axes = list(range(2, len(node.shape())))
    powers = _power(builder, node.inputs[0], p, node.dtype())
    total = builder.emit(relax.op.sum(powers, axes, keepdims=True)) if axes else powers
    return _root(total, p, node.dtype())


def global_average_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert GlobalAveragePool. Without spatial axes the result is the input."""
    axes = list(range(2, len(node.shape())))
    return relax.op.mean(node.inputs[0], axes, keepdims=True) if axes else node.inputs[0]


def global_max_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert GlobalMaxPool. Without spatial axes the result is the input."""
    axes = list(range(2, len(node.shape())))
    return relax.op.max(node.inputs[0], axes, keepdims=True) if axes else node.inputs[0]


def max_unpool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert MaxUnpool to its inferred shape. An index out of range ends the run.

    Raises
    ------
    QuakeError
        For an output_shape that is not the inferred one, and for dynamic shapes.
    """
    shape = node.shape()
    windows = _windows(node)
    if not all(isinstance(n, int) for n in shape):
        raise node.refuse("dynamic shapes; give shapes for the model's inputs")
    spatial = [
        (n - 1) * w.stride + w.kernel - w.before - w.after
        for n, w in zip(shape[2:], windows, strict=True)
    ]
    wanted = [*shape[:2], *spatial]
    given = node.constant(2)
    if given is not None and list(given) != wanted:
        raise node.refuse(f"an output_shape other than {wanted}")
    pairs = zip(shape, node.shape(1), strict=True)
    fits = [pair for sizes in pairs for pair in equal(*sizes)]
    node.require(builder, fits, "there are not as many indices as elements")
    total = prod(wanted)
    indices = builder.emit(relax.op.reshape(node.inputs[1], [-1]))
    indices = builder.normalize(checked(indices, [total], Places.FRONT, "MaxUnpool"))
    zeros = relax.op.zeros([total], node.dtype())
    values = relax.op.reshape(node.inputs[0], [-1])
    return relax.op.reshape(relax.op.scatter_elements(zeros, indices, values), wanted)


def _windows(node: Node) -> list[Window]:
    """The windows of a pooling."""
    windows = windows_of(node, node.attributes["kernel_shape"])
    if _same(node) and any(w.dilation != 1 for w in windows):
        raise node.refuse("auto_pad with dilations, on which runtimes differ; write pads")
    return windows


def _same(node: Node) -> bool:
    return bool(node.attributes.get("auto_pad", "NOTSET").startswith("SAME"))


def _ceils(node: Node) -> bool:
    """Whether ceil_mode adds elements. An auto_pad has pads for all of them already."""
    return bool(node.attributes.get("ceil_mode", 0)) and not _same(node)


def _ceils_alike(node: Node, windows: list[Window]) -> bool:
    """Whether dimensions are dynamic and TVM's ceil_mode equals the standard's.

    The two are equal if no window can lie in the pads alone.
    """
    dynamic = any(w.length is None for w in windows)
    return _ceils(node) and dynamic and all(w.reach >= w.stride + w.after for w in windows)


def _rounded_up(node: Node, windows: list[Window]) -> list[Window]:
    """The windows, padded for the element of ceil_mode unless it lies in the pads alone."""
    check_fit(node, windows)
    if not _ceils(node):
        return windows
    rounded = []
    for w in windows:
        if w.stride == 1:
            rounded.append(w)
            continue
        if w.length is None:
            raise node.refuse("ceil_mode of dynamic dimensions; give shapes for the inputs")
        elements = -(-(w.length + w.before + w.after - w.reach) // w.stride) + 1
        if (elements - 1) * w.stride >= w.length + w.before:
            elements -= 1
        needed = (elements - 1) * w.stride + w.reach - w.length - w.before
        after = min(max(w.after, needed, 0), needed + w.stride - 1)
        rounded.append(Window(w.length, w.kernel, w.stride, w.dilation, w.before, after))
    return rounded


def _counted(node: Node, window: Window, rounded: Window, include_pads: bool) -> np.ndarray:
    """The number of elements that each mean counts, along one axis."""
    w = rounded
    if w.length is None:
        raise node.refuse("ceil_mode of dynamic dimensions; give shapes for the inputs")
    elements = (w.length + w.before + w.after - w.reach) // w.stride + 1
    places = np.arange(elements)[:, None] * w.stride - w.before
    places = places + np.arange(w.kernel) * w.dilation
    first, end = (-w.before, w.length + window.after) if include_pads else (0, w.length)
    return np.maximum(((places >= first) & (places < end)).sum(1), 1)


def _pool(
    kind: str,
    x: relax.Expr,
    windows: list[Window],
    include_pads: bool = False,
    ceil_mode: bool = False,
) -> relax.Expr:
    operator = getattr(relax.op.nn, f"{kind}_pool{len(windows)}d")
    return operator(
        x,
        [w.kernel for w in windows],
        [w.stride for w in windows],
        [w.before for w in windows] + [w.after for w in windows],
        [w.dilation for w in windows],
        ceil_mode,
        include_pads,
    )


def _power(builder: relax.BlockBuilder, x: relax.Expr, p: float, dtype: str) -> relax.Expr:
    """The p-th power of the absolute values."""
    size = builder.emit(relax.op.abs(x))
    if p not in (1, 2, 3):
        return builder.emit(relax.op.power(size, relax.const(p, dtype)))
    power = size
    for _ in range(int(p) - 1):
        power = builder.emit(relax.op.multiply(power, size))
    return power


def _root(x: relax.Expr, p: float, dtype: str) -> relax.Expr:
    if p == 1:
        return x
    return relax.op.sqrt(x) if p == 2 else relax.op.power(x, relax.const(1 / p, dtype))
