"""ONNX's Pad. TVM converts it, unless the pads vary with the extents."""

import tvm
from tvm import relax, te, tirx

from ...kernels.size_check import Pair, padded
from .extents import Extent, Extents, expression, plain
from .node import Node


def pad(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Check Pad, and convert it where TVM cannot.

    Raises
    ------
    QuakeError
        For pads or a value that are computed at run time, and for a tensor that is too small for
        pads of the mode.
    """
    mode = node.attributes.get("mode", "constant")
    shape = node.shape()
    pads = node.numbers(1)
    if pads is None:
        node.constant(1)  # raises if data decide the pads
        raise node.refuse("pads are missing")
    filling = node.constant(2)
    chosen = node.constant(3)
    axes = range(len(shape)) if chosen is None else [int(a) % len(shape) for a in chosen]
    if len(pads) != 2 * len(axes):
        raise node.refuse(f"{len(pads)} pads for {len(axes)} axes")
    both: list[tuple[Extent, Extent]] = [(0, 0)] * len(shape)
    for k, axis in enumerate(axes):
        both[axis] = pads[k], pads[len(axes) + k]
    for axis, (before, after) in enumerate(both):
        vary = not (isinstance(before, int) and isinstance(after, int))
        if vary and mode != "constant":
            problem = f"pads of mode {mode} that vary must not be negative: {before} and {after}"
            node.require(builder, [(0, before), (0, after)], problem)
        problem = f"axis {axis} is too short for pads of {before} and {after} in mode {mode}"
        within = (_varying if vary else padded)(shape[axis], before, after, mode)
        node.require(builder, within, problem)
    # TVM wraps around the axis as it was before negative pads removed elements.
    removes = mode == "wrap" and any(isinstance(n, int) and n < 0 for pair in both for n in pair)
    if not removes and all(isinstance(n, int) for pair in both for n in pair):
        return None
    value = 0 if filling is None else filling.reshape(()).item()
    return with_pads(builder, node.inputs[0], both, mode, value, node.extents)


def _varying(length: Extent, before: Extent, after: Extent, mode: str) -> list[Pair]:
    """What an axis needs, for its pads to have elements. Negative pads remove some."""
    if mode == "constant":
        removed = [tirx.max(0 - expression(n), 0) for n in (before, after)]
        return [(removed[0] + removed[1], length)]
    if mode == "reflect":
        return [(before + 1, length), (after + 1, length)]
    if mode == "wrap":
        return [(before, length), (after, length)]
    return [(1, length)]


def with_pads(
    builder: relax.BlockBuilder,
    x: relax.Expr,
    both: list[tuple[Extent, Extent]],
    mode: str,
    value: float,
    extents: Extents,
) -> relax.Expr:
    """A tensor with pads that vary, by one kernel.

    Parameters
    ----------
    builder : BlockBuilder
    x : Expr
        Of known rank.
    both : list of (Extent, Extent)
        The pads before and after each axis.
    mode : str
        As ONNX's Pad has it.
    value : float
        What mode ``constant`` fills in.
    extents : Extents
    """
    sizes = [
        extents.simplify(expression(plain(n)) + before + after)
        for n, (before, after) in zip(x.ty.shape, both, strict=True)
    ]

    def kernel(x: te.Tensor, firsts: list[tvm.ir.Expr], shape: list[tvm.ir.Expr]) -> te.Tensor:
        def element(*at: tirx.Var) -> tvm.ir.Expr:
            places = [i - first for i, first in zip(at, firsts, strict=True)]
            if mode != "constant":
                inside = zip(places, x.shape, both, strict=True)
                return x(*(_inside(place, length, pads, mode) for place, length, pads in inside))
            within = [tirx.all(p >= 0, p < n) for p, n in zip(places, x.shape, strict=True)]
            filling = tirx.const(value, x.dtype)
            return tirx.if_then_else(tirx.all(*within), x(*places), filling)

        return te.compute(shape, element, name="padded")

    firsts = [expression(before) for before, _ in both]
    shape = [expression(n) for n in sizes]
    padded = builder.call_te(kernel, x, firsts, shape, primfunc_name_hint="pad")
    return builder.normalize(padded)


def _inside(
    place: tvm.ir.Expr, length: tvm.ir.Expr, pads: tuple[Extent, Extent], mode: str
) -> tvm.ir.Expr:
    """The element that a place beside the axis is filled from."""
    if mode == "wrap":
        # Pads that vary are not negative.
        first, last = (max(-n, 0) if isinstance(n, int) else 0 for n in pads)
        return first + tirx.floormod(place - first, length - first - last)
    if mode == "reflect":
        place = tirx.max(place, -place)
        return tirx.min(place, 2 * (length - 1) - place)
    return tirx.max(tirx.min(place, length - 1), 0)
