"""ONNX's pooling and convolutions: what auto_pad, ceil_mode and output_shape say, as plain pads.

TVM's operators with plain pads are right; its importer's arithmetic before them is not always.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import relax, topi

from .onnx_importer import Node


@dataclass(frozen=True)
class Window:
    """A window along one spatial axis; ``length`` is None where it is dynamic."""

    length: int | None
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """Elements from its first to its last, both included."""
        return (self.kernel - 1) * self.dilation + 1


def max_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert MaxPool of any opset.

    Raises
    ------
    QuakeError
        For pads that need dimensions to be known.
    """
    windows = _windows(node, node.attributes["kernel_shape"])
    if _ceils_alike(node, windows):
        return _pool("max", node.inputs[0], windows, ceil_mode=True)
    return _pool("max", node.inputs[0], _rounded_up(node, windows))


def average_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert AveragePool: elements that ceil_mode adds are never counted.

    Raises
    ------
    QuakeError
        For pads that need dimensions to be known.
    """
    windows = _windows(node, node.attributes["kernel_shape"])
    include = bool(node.attributes.get("count_include_pad", 0))
    if _ceils_alike(node, windows):
        return _pool("avg", node.inputs[0], windows, include, ceil_mode=True)
    rounded = _rounded_up(node, windows)
    if not node.attributes.get("ceil_mode", 0):
        return _pool("avg", node.inputs[0], rounded, include)
    counts = [_counted(w, r, include) for w, r in zip(windows, rounded, strict=True)]
    factors = np.ones(())
    for window, count in zip(windows, counts, strict=True):
        factors = np.multiply.outer(factors, window.kernel / count)
    mean = _pool("avg", node.inputs[0], rounded, True)
    if np.all(factors == 1):
        return mean
    return relax.op.multiply(mean, relax.const(factors.astype(node.dtype()), node.dtype()))


def lp_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert LpPool: the p-norm of every window.

    Raises
    ------
    QuakeError
        For pads that need dimensions to be known.
    """
    windows = _windows(node, node.attributes["kernel_shape"])
    p = node.attributes.get("p", 2)
    powers = _power(builder, node.inputs[0], p, node.dtype())
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
    """Convert GlobalAveragePool; without spatial axes there is nothing to do."""
    axes = list(range(2, len(node.shape())))
    return relax.op.mean(node.inputs[0], axes, keepdims=True) if axes else node.inputs[0]


def global_max_pool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert GlobalMaxPool; without spatial axes there is nothing to do."""
    axes = list(range(2, len(node.shape())))
    return relax.op.max(node.inputs[0], axes, keepdims=True) if axes else node.inputs[0]


def max_unpool(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert MaxUnpool of an inferred shape; indices outside of it are moved to its ends.

    Raises
    ------
    QuakeError
        For a given output_shape that is not the inferred one, and for dynamic shapes.
    """
    shape = node.shape()
    windows = _windows(node, node.attributes["kernel_shape"])
    if not all(isinstance(n, int) for n in shape):
        raise node.refuse("dynamic shapes; give shapes for the model's inputs")
    spatial = [(w.length - 1) * w.stride + w.kernel - w.before - w.after for w in windows]
    wanted = [*shape[:2], *spatial]
    given = node.constant(2)
    if given is not None and list(given) != wanted:
        raise node.refuse(f"an output_shape other than {wanted}")
    total = prod(wanted)
    indices = relax.op.reshape(node.inputs[1], [-1])
    indices = relax.op.clip(indices, 0, max(total - 1, 0))
    zeros = relax.op.zeros([total], node.dtype())
    values = relax.op.reshape(node.inputs[0], [-1])
    return relax.op.reshape(relax.op.scatter_elements(zeros, indices, values), wanted)


def conv(builder: relax.BlockBuilder, node: Node) -> None:
    """Check Conv, which TVM's importer converts.

    Raises
    ------
    QuakeError
        For a kernel_shape that is not the weights', and negative pads.
    """
    _check_kernel(node)
    windows = _windows(node, node.shape(1)[2:], check_only=True)
    if not node.attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        _check_fit(node, windows)


def conv_transpose(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert ConvTranspose with an output_shape; TVM's importer ignores it.

    Raises
    ------
    QuakeError
        For an output_shape of dynamic dimensions, and negative pads.
    """
    _check_kernel(node)
    kernel = node.shape(1)[2:]
    windows = _windows(node, kernel, check_only=True)
    wanted = node.attributes.get("output_shape")
    if wanted is None:
        return None
    if any(w.length is None for w in windows):
        raise node.refuse("output_shape of dynamic dimensions; give shapes for the inputs")
    rank = len(windows)
    wanted = list(wanted)[-rank:]
    extra = node.attributes.get("output_padding", [0] * rank)
    lower = node.attributes.get("auto_pad", "NOTSET") != "SAME_UPPER"
    before, after, missing = [], [], []
    for window, size, more in zip(windows, wanted, extra, strict=True):
        total = (window.length - 1) * window.stride + more + window.reach - size
        half = max(total, 0) // 2
        before.append(max(total, 0) - half if lower else half)
        after.append(half if lower else max(total, 0) - half)
        missing.append(max(-total, 0))
    operator = getattr(relax.op.nn, f"conv{rank}d_transpose")
    layout = "DHW"[3 - rank :] if rank > 1 else "W"
    y = builder.emit(
        operator(
            node.inputs[0],
            node.inputs[1],
            strides=[w.stride for w in windows],
            padding=before + after,
            output_padding=list(extra),
            dilation=[w.dilation for w in windows],
            groups=node.attributes.get("group", 1),
            data_layout=f"NC{layout}",
            kernel_layout=f"IO{layout}",
        )
    )
    if any(missing):
        y = builder.emit_te(topi.nn.pad, y, [0] * (rank + 2), [0, 0, *missing])
    bias = node.input(2)
    if bias is None:
        return y
    return relax.op.add(y, relax.op.reshape(bias, [1, -1, *[1] * rank]))


def _check_kernel(node: Node) -> None:
    stated = node.attributes.get("kernel_shape")
    weights = node.shape(1)[2:]
    if stated is not None and list(stated) != weights:
        raise node.refuse(f"a kernel_shape of {list(stated)} with weights of {weights}")


def _windows(node: Node, kernel: list[int], check_only: bool = False) -> list[Window]:
    """The windows, auto_pad as plain pads unless the caller only checks."""
    shape = node.shape()[2:]
    rank = len(kernel)
    if len(shape) != rank:
        raise node.refuse(f"a kernel of {rank} dimensions for {len(shape)} spatial ones")
    given = node.attributes
    strides, dilations = given.get("strides", [1] * rank), given.get("dilations", [1] * rank)
    pads = given.get("pads", [0] * 2 * rank)
    if min(pads, default=0) < 0:
        raise node.refuse("negative pads; use Slice")
    how = given.get("auto_pad", "NOTSET")
    if how not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise node.refuse(f"no such auto_pad: {how}")
    windows = []
    for d, (length, size) in enumerate(zip(shape, kernel, strict=True)):
        known = length if isinstance(length, int) else None
        before, after = (pads[d], pads[rank + d]) if how == "NOTSET" else (0, 0)
        window = Window(known, int(size), strides[d], dilations[d], before, after)
        if how.startswith("SAME") and not check_only:
            window = _same(node, window, how == "SAME_LOWER")
        windows.append(window)
    return windows


def _check_fit(node: Node, windows: list[Window]) -> None:
    """A window that does not fit once has no output; some runtimes give one all the same."""
    for w in windows:
        if w.length is not None and 0 < w.length < w.reach - w.before - w.after:
            raise node.refuse(f"a window of {w.reach} in {w.length} elements and their pads")


def _same(node: Node, window: Window, lower: bool) -> Window:
    """SAME_LOWER and SAME_UPPER as pads: as many elements after as strides fit into the length."""
    if window.dilation != 1:
        raise node.refuse("auto_pad with dilations, on which runtimes differ; write pads")
    if window.stride == 1:
        total = window.kernel - 1
    elif window.length is None:
        raise node.refuse("auto_pad of dynamic dimensions; give shapes for the model's inputs")
    else:
        elements = -(-window.length // window.stride)
        total = max((elements - 1) * window.stride + window.kernel - window.length, 0)
    small, large = total // 2, total - total // 2
    pads = (large, small) if lower else (small, large)
    return Window(window.length, window.kernel, window.stride, 1, *pads)


def _ceils_alike(node: Node, windows: list[Window]) -> bool:
    """Whether TVM rounds up as the standard does, of dimensions that are not all known.

    It does where no window can lie in the pads alone.
    """
    dynamic = any(w.length is None for w in windows)
    ceils = node.attributes.get("ceil_mode", 0) and dynamic
    return bool(ceils) and all(w.reach >= w.stride + w.after for w in windows)


def _rounded_up(node: Node, windows: list[Window]) -> list[Window]:
    """With ceil_mode, pads that give one more element; not one that lies in the pads alone."""
    _check_fit(node, windows)
    if not node.attributes.get("ceil_mode", 0):
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


def _counted(window: Window, rounded: Window, include_pads: bool) -> np.ndarray:
    """Elements that count in each mean along one axis."""
    w = rounded
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
    """The absolute values to the p-th power."""
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
