"""Padding with a constant or with a tensor's own elements, in one kernel over all dimensions."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from tvm import relax, te, tirx

from ...kernels.size_check import Pair, padded
from .converter import Context, converts, dims

op = relax.op


@converts("constant_pad_nd.default")
def _pad_constant(c: Context, self: relax.Expr, pad: list[Any], value: Any) -> relax.Expr:
    before, after = _widths(c, pad)
    value = bool(value) if c.dtype == "bool" else value
    if _known(before, after) and min(before + after, default=0) >= 0:
        width = [n for pair in zip(before, after, strict=True) for n in pair]
        return c.emit(op.nn.pad(self, width, "constant", float(value))) if width else self
    fill = tirx.const(value, c.dtype)
    x = c.hold(self, [(0, n) for n in c.shape], "negative pads leave no size")

    def pad_(x: te.Tensor, before: list[Any], shape: list[Any]) -> te.Tensor:
        def element(*i: Any) -> Any:
            at = [index - first for index, first in zip(i, before, strict=True)]
            inside = [tirx.all(k >= 0, k < n) for k, n in zip(at, x.shape, strict=True)]
            return tirx.if_then_else(reduce(tirx.all, inside), x(*at), fill)

        return te.compute(shape, element, name="pad")

    return c.kernel("pad", pad_, x, before, list(c.shape))


# Not decomposed: its parts would access elements out of range where pads are too wide.
@converts("pad.default")
def _pad(c: Context, self: relax.Expr, pad: list[Any], mode: str, value: Any) -> relax.Expr:
    before, after = _widths(c, pad)
    known = _known(before, after)
    if mode == "constant" or (known and max(before + after, default=0) <= 0):
        return _pad_constant(c, self, pad, 0 if value is None else value)
    if not known and mode == "circular":
        raise c.refuse("with dynamic pads in mode circular (other modes can be)")
    within: list[Pair] = []
    for length, low, high in zip(dims(self), before, after, strict=True):
        if mode == "circular" or (_known([low, high]) and max(low, high) <= 0):
            within += padded(length, low, high, mode if max(low, high) > 0 else "constant")
        elif mode == "reflect":
            within += [(low + 1, length), (high + 1, length)]
        else:
            within.append((1, length))
    within += [] if known else [(0, n) for n in c.shape]
    x = c.hold(self, within, f"a dimension is too short for pads in mode {mode}")

    def pad_(x: te.Tensor, before: list[Any], after: list[Any], shape: list[Any]) -> te.Tensor:
        def element(*i: Any) -> Any:
            places = zip(i, x.shape, before, after, strict=True)
            return x(*(_place(mode, *at) for at in places))

        return te.compute(shape, element, name="pad")

    return c.kernel("pad", pad_, x, before, after, list(c.shape))


def _place(mode: str, k: Any, n: Any, before: Any, after: Any) -> Any:
    """The index of a padded dimension's element; without pads it is not computed by the mode."""
    if _known([before, after]) and max(before, after) <= 0:
        return k - before
    return _PLACES[mode](k, n, before, after)


def _known(*widths: list[Any]) -> bool:
    return all(isinstance(n, int) for some in widths for n in some)


def _widths(c: Context, pad: list[Any]) -> tuple[list[Any], list[Any]]:
    """The pads before and after each dimension. torch lists the last dimension first."""
    rank = len(c.shape)
    before, after = [0] * rank, [0] * rank
    for k in range(len(pad) // 2):
        before[rank - 1 - k], after[rank - 1 - k] = pad[2 * k], pad[2 * k + 1]
    return before, after


def _reflected(k: Any, n: Any, before: Any, after: Any) -> Any:
    at = tirx.abs(k - before)
    return tirx.min(at, 2 * (n - 1) - at)


def _replicated(k: Any, n: Any, before: Any, after: Any) -> Any:
    return tirx.max(tirx.min(k - before, n - 1), 0)


def _circled(k: Any, n: Any, before: Any, after: Any) -> Any:
    """The index of circular padding, within the elements that negative pads leave."""
    kept = n + min(before, 0) + min(after, 0)
    return tirx.truncmod(k - max(before, 0) + kept, kept) - min(before, 0)


_PLACES: Mapping[str, Callable[[Any, Any, Any, Any], Any]] = {
    "reflect": _reflected,
    "replicate": _replicated,
    "circular": _circled,
}
