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
    if min(before + after, default=0) >= 0:
        width = [n for pair in zip(before, after, strict=True) for n in pair]
        return c.emit(op.nn.pad(self, width, "constant", float(value))) if width else self
    fill = tirx.const(value, c.dtype)

    def pad_(x: te.Tensor, shape: list[Any]) -> te.Tensor:
        def element(*i: Any) -> Any:
            at = [index - first for index, first in zip(i, before, strict=True)]
            inside = [tirx.all(k >= 0, k < n) for k, n in zip(at, x.shape, strict=True)]
            return tirx.if_then_else(reduce(tirx.all, inside), x(*at), fill)

        return te.compute(shape, element, name="pad")

    return c.kernel("pad", pad_, self, list(c.shape))


# Not decomposed: its parts would access elements out of range where pads are too wide.
@converts("pad.default")
def _pad(c: Context, self: relax.Expr, pad: list[Any], mode: str, value: Any) -> relax.Expr:
    before, after = _widths(c, pad)
    if mode == "constant" or max(before + after, default=0) <= 0:
        return _pad_constant(c, self, pad, 0 if value is None else value)
    within: list[Pair] = []
    for length, low, high in zip(dims(self), before, after, strict=True):
        most = max(low, high)
        if mode == "circular" or most <= 0:
            within += padded(length, low, high, mode if most > 0 else "constant")
        else:
            within.append((most + 1 if mode == "reflect" else 1, length))
    x = c.hold(self, within, f"a dimension is too short for pads in mode {mode}")

    def pad_(x: te.Tensor, shape: list[Any]) -> te.Tensor:
        def element(*i: Any) -> Any:
            places = zip(i, x.shape, before, after, strict=True)
            return x(*(_PLACES[mode](*at) if max(at[2:]) > 0 else at[0] - at[2] for at in places))

        return te.compute(shape, element, name="pad")

    return c.kernel("pad", pad_, x, list(c.shape))


def _widths(c: Context, pad: list[Any]) -> tuple[list[int], list[int]]:
    """The pads before and after each dimension. torch lists the last dimension first."""
    if not all(isinstance(n, int) for n in pad):
        raise c.refuse("with dynamic sizes")
    rank = len(c.shape)
    before, after = [0] * rank, [0] * rank
    for k in range(len(pad) // 2):
        before[rank - 1 - k], after[rank - 1 - k] = pad[2 * k], pad[2 * k + 1]
    return before, after


def _reflected(k: Any, n: Any, before: int, after: int) -> Any:
    at = tirx.abs(k - before)
    return tirx.min(at, 2 * (n - 1) - at)


def _replicated(k: Any, n: Any, before: int, after: int) -> Any:
    return tirx.max(tirx.min(k - before, n - 1), 0)


def _circled(k: Any, n: Any, before: int, after: int) -> Any:
    """The index of circular padding, within the elements that negative pads leave."""
    kept = n + min(before, 0) + min(after, 0)
    return tirx.truncmod(k - max(before, 0) + kept, kept) - min(before, 0)


_PLACES: Mapping[str, Callable[[Any, Any, int, int], Any]] = {
    "reflect": _reflected,
    "replicate": _replicated,
    "circular": _circled,
}
