"""The windows of ONNX's pooling and convolutions, with auto_pad turned into plain pads."""

from dataclasses import dataclass, replace

from tvm import relax

from .extents import Extent
from .node import Node
from .pad import with_pads


@dataclass(frozen=True)
class Window:
    """A window along one spatial axis. ``length`` is None if it is dynamic.

    Pads of ``auto_pad`` may vary with a dynamic length.
    """

    length: int | None
    kernel: int
    stride: int
    dilation: int
    before: Extent
    after: Extent

    @property
    def reach(self) -> int:
        """The number of elements from the window's first element to its last, both included."""
        return (self.kernel - 1) * self.dilation + 1


def windows_of(node: Node, kernel: list[int], check_only: bool = False) -> list[Window]:
    """The windows of a node, one per spatial axis.

    Parameters
    ----------
    node : Node
        With the attributes of pooling or convolution; the first input is the tensor.
    kernel : list of int
        The window's extents.
    check_only : bool
        Whether auto_pad may stay unresolved, because the caller does not use the pads.

    Raises
    ------
    QuakeError
        For a kernel of another rank, for negative pads, and for an auto_pad on which runtimes
        differ.
    """
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
            window = _same(node, window, length, how == "SAME_LOWER")
        windows.append(window)
    return windows


def check_fit(node: Node, windows: list[Window]) -> None:
    """Refuse a window that does not fit once: it has no output, but some runtimes return one."""
    for w in windows:
        if w.length is not None and 0 < w.length < w.reach - w.before - w.after:
            raise node.refuse(f"a window of {w.reach} in {w.length} elements and their pads")


def check_strides(node: Node, window: Window) -> None:
    """Refuse auto_pad with strides that make negative pads, which runtimes treat differently.

    A single negative pad is allowed: it is at the end, where it makes no difference.
    """
    w = window
    if w.stride > w.reach + 1 and (w.length is None or _same_pads(w, w.length) < -1):
        raise node.refuse("auto_pad of strides beyond the window, on which runtimes differ")


def pads_apart(
    builder: relax.BlockBuilder,
    node: Node,
    x: relax.Expr,
    windows: list[Window],
    filling: float = 0.0,
) -> tuple[relax.Expr, list[Window]]:
    """The tensor with those pads that vary, and its windows without them."""
    if all(isinstance(n, int) for w in windows for n in (w.before, w.after)):
        return x, windows
    both: list[tuple[Extent, Extent]] = [(0, 0), (0, 0)]
    both += [(w.before, w.after) for w in windows]
    padded = with_pads(builder, x, both, "constant", filling, node.extents)
    return padded, [replace(w, before=0, after=0) for w in windows]


def _same_pads(window: Window, length: Extent) -> Extent:
    """The pads at both ends together that give ceil(length / stride) elements."""
    elements = (length + (window.stride - 1)) // window.stride
    return (elements - 1) * window.stride + window.reach - length


def _same(node: Node, window: Window, length: Extent, lower: bool) -> Window:
    """SAME_LOWER or SAME_UPPER as pads that give ceil(length / stride) elements."""
    check_strides(node, window)
    total: Extent = window.reach - 1
    if window.stride != 1:
        pads = node.extents.simplify(_same_pads(window, length))
        total = node.extents.most(pads, 0)
    small = node.extents.simplify(total // 2)
    large = node.extents.simplify(total - small)
    before, after = (large, small) if lower else (small, large)
    return replace(window, before=before, after=after)
