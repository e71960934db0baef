"""The windows of ONNX's pooling and convolutions, with auto_pad as plain pads."""

from dataclasses import dataclass

from .importer import Node


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


def windows_of(node: Node, kernel: list[int], check_only: bool = False) -> list[Window]:
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


def check_fit(node: Node, windows: list[Window]) -> None:
    """A window that does not fit once has no output; some runtimes give one all the same."""
    for w in windows:
        if w.length is not None and 0 < w.length < w.reach - w.before - w.after:
            raise node.refuse(f"a window of {w.reach} in {w.length} elements and their pads")


def check_strides(node: Node, window: Window) -> None:
    """With auto_pad strides beyond the window may make negative pads, which not all drop.

    One element less is at the end: there it makes no difference.
    """
    w = window
    if w.stride > w.reach + 1 and (w.length is None or _same_pads(w) < -1):
        raise node.refuse("auto_pad of strides beyond the window, on which runtimes differ")


def _same_pads(window: Window) -> int:
    """Pads at both ends for as many elements as strides fit into the length."""
    elements = -(-window.length // window.stride)
    return (elements - 1) * window.stride + window.reach - window.length


def _same(node: Node, window: Window, lower: bool) -> Window:
    """SAME_LOWER and SAME_UPPER as pads: as many elements after as strides fit into the length."""
    if window.dilation != 1:
        raise node.refuse("auto_pad with dilations, on which runtimes differ; write pads")
    check_strides(node, window)
    if window.stride == 1:
        total = window.kernel - 1
    elif window.length is None:
        raise node.refuse("auto_pad of dynamic dimensions; give shapes for the model's inputs")
    else:
        total = max(_same_pads(window), 0)
    small, large = total // 2, total - total // 2
    pads = (large, small) if lower else (small, large)
    return Window(window.length, window.kernel, window.stride, 1, *pads)
