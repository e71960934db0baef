"""Slices that leave no element of an axis of known length, which TVM refuses or miscounts."""

from collections.abc import Iterable

import tvm
from tvm import relax

from .onnx_importer import Node


def empty_slice(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Slice if an axis of known length keeps none of its elements.

    Raises
    ------
    QuakeError
        If the length of another axis cannot be told.
    """
    given = _given(node)
    if given is None or node.inputs[0].ty.shape is None:
        return None
    extents = node.shape()
    lengths: list[int | tvm.ir.Expr | None] = list(extents)
    for start, end, axis, step in given:
        extent = extents[axis]
        known = isinstance(extent, int)
        lengths[axis] = len(range(*_limited(start, end, step, extent))) if known else None
    if 0 not in [n for n in lengths if isinstance(n, int)]:
        return None
    if None in lengths:
        raise node.refuse("no element of one axis and a part of a dynamic one; give shapes")
    return relax.op.zeros(relax.ShapeExpr(lengths), node.dtype())


def _limited(start: int, end: int, step: int, extent: int) -> tuple[int, int, int]:
    return slice(start, end, step).indices(extent)


def _given(node: Node) -> Iterable[tuple[int, int, int, int]] | None:
    """Start, end, axis and step of each axis that is sliced, if they are constants."""
    constants = (tvm.ir.GenericConst, relax.ShapeExpr, type(None))
    if not all(isinstance(i, constants) for i in node.inputs[1:]):
        return None
    if len(node.inputs) > 1:
        starts, ends, axes, steps = (node.constant(k) for k in range(1, 5))
    else:
        starts, ends, axes = (node.attributes.get(k) for k in ("starts", "ends", "axes"))
        steps = None
    rank = len(node.shape())
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return [
        (int(start), int(end), int(axis) % rank, int(step))
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    ]
